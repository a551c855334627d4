"""Train, dev and test that share neither speakers nor texts: `speechkit data split`."""
