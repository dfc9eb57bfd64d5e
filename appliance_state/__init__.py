"""What the appliance is configured to be: values, validation, merging, storage. Opens no socket, reads no clock."""
