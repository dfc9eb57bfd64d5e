"""Test kit: scripted terminal and an appliance without sockets for the tests of dialogs."""
