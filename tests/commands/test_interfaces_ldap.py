"""An interface that the LDAP settings use: it is named as in use, and they follow its new name (interfaceconfig.md 2)."""

from attrs import evolve

from appliance_state.model import Config
from commands.interfaces import users_of, with_interface


def test_ldap_is_among_the_users_of_an_interface_and_follows_its_name() -> None:
    config = Config()
    assert users_of(config, "Management") == []
    config = config.with_(ldap=evolve(config.ldap, interface="Management"))
    assert users_of(config, "management") == ["ldapconfig"]
    renamed = evolve(config.interfaces["Management"], name="Admin")
    assert with_interface(config, "Management", renamed).ldap.interface == "Admin"
