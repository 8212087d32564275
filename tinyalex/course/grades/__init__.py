"""The class and its grades: roster, due dates, tables of all weeks, and those of Moodle and Canvas."""
