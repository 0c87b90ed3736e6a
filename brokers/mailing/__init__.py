"""What the brokers that send mails have in common: whom a push is for, which mails it becomes, and how these leave."""
