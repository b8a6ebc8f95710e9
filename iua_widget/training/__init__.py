"""What goes beside a training run: the rules that raise alarms."""
