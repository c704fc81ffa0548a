// Imported before everything else: the command line may hold a token, and the process list is readable by every user.
process.title = "docker-server";
