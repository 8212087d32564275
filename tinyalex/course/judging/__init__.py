"""The judge and the wire to a student's process: whose answers are right, told where no student's code runs."""
