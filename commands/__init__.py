"""The commands of the appliance: what an operator is asked and told. One module per command."""
