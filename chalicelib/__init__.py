"""Draugar's data layer and routes: the map of the house.

    settings.py   what the environment says; the only reader of it
    secrets.py    what AWS keeps for us
    errors.py     the tree of errors
    release.py    which release this is
    characters.py characters that no reader sees; texts as they were before they were copied
    log.py        one line of JSON for a request or a job, and metrics in it
    db/           PostgreSQL: table base, connection, engine, the two ways to a statement, rows
                  as JSON, what errors mean, what migrate needs of a database
    models/       every table
    web/          all that knows HTTP: bodies, credentials, problem documents, headers, OpenAPI

    auth/         who is calling: tokens, callers; join, me, logout
    devices/      the devices that act for a person
    groups/       groups, members, rights, pausing
    invites/      the codes by which people come in, each once
    keys/         group keys, which only members' devices can open: versions, envelopes
    users/        the people in one's groups; one's name and account
    locations/    points: post, latest, history, delete
    owntracks/    what the OwnTracks apps post as phones of a group, and what they are told
    export/       all that is stored about the caller
    docs/         the contract of all routes, for programs and as a page; protocol, vectors, errors
    site/         the web app's files, as client/web/dist has them
    health/       whether the service runs and can work
    limits/       the limiter
    jobs/         what runs without a request, each a function of its own

A feature is a folder of the same few files, and imports point one way:

    app -> routes -> service -> queries -> models -> db.base

routes.py reads a request, names the use case and presents its result, with the shapes of
schemas.py; service.py holds the use cases and the errors they raise, and knows neither HTTP nor
SQL; queries.py is the only place where SQL is built. Jobs are to services what routes are.
Locks are taken in one order: groups by id, then an invite, then people, then
devices.
"""
