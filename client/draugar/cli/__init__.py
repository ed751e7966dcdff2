"""The command line: the only place with texts for people, but for those of the map's page.

app          the table of commands, and what is told where one fails
context      what a command works with, and the options that all of them have
options      the other arguments and options

joining, everyday, sharing, erasing, trust, phone, account    the commands
named, files           what commands share: whom a name means, and files
times, coordinates, map_links    times and positions as they are typed and copied

terminal     answers, notices, questions and progress
output, positions, tracks    how values look, to people and to programs
failures, situations, refusals, explain    what is said of a failure
notices      what is said beside the answer
"""
