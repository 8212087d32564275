"""What training costs: time a layer, bytes a device, and what more devices would do."""
