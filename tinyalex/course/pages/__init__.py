"""The pages that marking writes: feedback for students, an overview for the lecturer, rubric and answers to release."""
