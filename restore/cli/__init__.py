"""The command line: `restore photo.jpg`, one command per task, weights, server and demo."""
