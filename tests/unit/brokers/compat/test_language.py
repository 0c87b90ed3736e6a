import hashlib

import pytest


def test_built_in_names(load):
    module = load("there = [isinstance(u'x', unicode), isinstance('x', basestring), long('7'), list(xrange(2))]\n")
    assert module.there == [True, True, 7, [0, 1]]


def test_methods_of_dictionaries(load):
    module = load(
        """
        d = {'a': 1}
        there = [d.has_key('a'), d.has_key('b'), list(d.iteritems()), list(d.iterkeys()), list(d.itervalues())]

        class Own(object):
            def has_key(self, key):
                return key * 2
        own = Own().has_key('x')
        """
    )
    assert module.there == [True, False, [("a", 1)], ["a"], [1]]
    assert module.own == "xx"


def test_encoded_text_stays_text(load):
    module = load(
        """
        import urllib2
        message = u'gr\\xfcn'
        there = ['%s: %s' % ('ann', message.encode('utf-8')), ', '.join([message.encode('utf8')]), message.encode('ascii', 'ignore')]
        back = message.encode('utf-8').decode('utf-8')
        raw = b'gr\\xc3\\xbcn'.decode('utf-8')
        """
    )
    assert module.there == ["ann: grün", "grün", "grn"]
    assert module.back == module.raw == "grün"


def test_text_is_encoded_as_ever_in_a_file_that_knows_python_3(load):
    module = load(
        """
        import hashlib
        import urllib2
        def digest(message: str) -> str:
            return hashlib.sha1(message.encode('utf-8')).hexdigest()
        """
    )
    assert module.digest("grün") == hashlib.sha1("grün".encode()).hexdigest()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("import httplib", "No module named 'httplib': write it with urllib2"),
        ("import md5", r"No module named 'md5': hashlib.md5\("),
        ("from packages import requests", "No module named 'packages': write `import requests`"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'$"),
        ("from urllib2 import ProxyHandler", "urllib2.ProxyHandler is neither in Python 3 nor supplied"),
        ("urllib2.ProxyHandler", "urllib2.ProxyHandler is neither in Python 3 nor supplied"),
        ("import email.MIMEText", "No module named 'email.MIMEText'"),
    ],
)
def test_what_is_not_supplied_is_an_error_with_its_remedy(load, line, says):
    with pytest.raises((ImportError, AttributeError), match=says):
        load(f"import urllib2\n{line}\n")


def test_modules_that_have_another_name_today(load):
    module = load(
        """
        import urlparse
        from StringIO import StringIO
        import cStringIO
        from email.MIMEText import MIMEText
        host = urlparse.urlparse('http://a.example/b')[1]
        out = StringIO(); out.write(u'x')
        mail = MIMEText('text').get_content_type()
        """
    )
    assert (module.host, module.out.getvalue(), module.mail) == ("a.example", "x", "text/plain")
