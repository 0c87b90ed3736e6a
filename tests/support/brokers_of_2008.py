"""Brokers as they were written in 2008, for Python 2.5: the one of the original documentation, to the letter, and its like."""

POST = """\
import urllib
from brokers import BaseBroker
from django.utils import simplejson as sj

class URLOpener(urllib.FancyURLopener):
    version = 'Bitbucket.org'

class Post(BaseBroker):
    def handle(self, payload):
        url = payload['service']['url']

        del payload['service']
        del payload['broker']

        post_load = { 'payload': sj.dumps(payload) }

        opener = self.get_local('opener', URLOpener)
        opener.open(url, urllib.urlencode(post_load))
"""

TWITTER = """\
# -*- coding: utf-8 -*-
import urllib
import urllib2
from brokers import BaseBroker

MAX_LENGTH = 140

class TwitterBroker(BaseBroker):
    def handle(self, payload):
        service = payload['service']

        passwords = urllib2.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, service['url'], service['username'], service['password'])
        auth = urllib2.HTTPBasicAuthHandler(passwords)
        urllib2.install_opener(urllib2.build_opener(auth))

        for commit in payload['commits']:
            if not commit.has_key('message'):
                continue
            status = u'%s: %s' % (commit['author'], commit['message'])
            if len(status) > MAX_LENGTH:
                status = status[:MAX_LENGTH - 3] + '...'
            data = urllib.urlencode({'status': status.encode('utf-8'), 'source': 'bitbucket'})
            urllib2.urlopen(service['url'], data)
"""

CIA = """\
import xmlrpclib
from cgi import escape
from StringIO import StringIO
from brokers import BaseBroker

class Cia(BaseBroker):
    def handle(self, payload):
        server = xmlrpclib.ServerProxy(payload['service']['url'])
        for commit in payload['commits']:
            out = StringIO()
            out.write('<message><source><project>%s</project></source>' % escape(payload['service']['project']))
            out.write('<body><commit><author>%s</author><files>' % escape(commit['author']))
            for f in commit['files']:
                out.write('<file>%s</file>' % escape(f['file']))
            out.write('</files><log>%s</log></commit></body></message>' % escape(commit['message']))
            server.hub.deliver(out.getvalue())
"""

TRACKER = """\
import base64
import re
import urllib2
try:
    import simplejson
except ImportError:
    from django.utils import simplejson
from brokers import BaseBroker

ISSUE = re.compile(r'#(\\d+)')

class Tracker(BaseBroker):
    def handle(self, payload):
        service = payload['service']
        login = base64.encodestring('%s:%s' % (service['username'], service['password']))[:-1]
        for commit in payload['commits']:
            for number in ISSUE.findall(commit['message']):
                request = urllib2.Request('%sissues/%s' % (service['url'], number))
                request.add_header('Authorization', 'Basic %s' % login)
                issue = simplejson.loads(urllib2.urlopen(request).read())

                comment = {'issue': issue['id'], 'text': '[%s] %s' % (commit['node'], commit['message'].encode('utf-8'))}
                request.add_header('Content-Type', 'application/json')
                request.add_data(simplejson.dumps(comment))
                request.get_method = lambda: 'PUT'
                answer = urllib2.urlopen(request)
                if answer.info().getheader('X-Saved') != 'yes':
                    raise IOError('not saved: ' + answer.read())
"""

COMMUNITY = """\
import urllib
from brokers import BaseBroker

class URLOpener(urllib.FancyURLopener):
    version = 'bitbucket.org'

    def prompt_user_passwd(self, host, realm):
        return (self.user, self.password)

class CommunityBroker(BaseBroker):
    def handle(self, payload):
        service = payload['service']
        counts = {}
        for commit in payload['commits']:
            for f in commit['files']:
                counts[f['type']] = counts.get(f['type'], 0) + 1
        body = ', '.join(['%s %d' % (kind, count) for kind, count in sorted(counts.iteritems())])

        opener = self.get_local('opener', URLOpener)
        opener.user = service['username']
        opener.password = service['password']
        opener.open('%s/api/messages.json' % service['url'], urllib.urlencode({'message[body]': body}))
"""

ALL = {"post": POST, "twitter": TWITTER, "cia": CIA, "tracker": TRACKER, "community": COMMUNITY}
"""Name -> source."""
