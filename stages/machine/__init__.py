"""What of the machine a stage uses: processes, devices, a terminal, the hub."""
