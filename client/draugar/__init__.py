"""A member's device: it holds the keys, and the service never does.

    member.py      what a member can do: everything else is reached through it
    model.py       what a member meets: positions, people, groups, notices
    errors.py      the tree of failures, each with what to do next
    refusals.py    what each code of the service means to a person
    home.py        what the device remembers: a database in one directory
    layout.py      its tables, as numbered upgrades
    vault.py       the key that seals the secrets in it

    joining.py     coming in, whatever crashes or gets lost
    inviting.py    links that carry the key, codes that carry nothing
    confirming.py  safety numbers, and what is trusted on a person's word
    leaving.py     persons removed, devices revoked, groups left
    exchange.py    keys from device to device: taken, given on
    rotation.py    the next key, and for whom
    census.py      who is there: what the service lists, against what is known
    circle.py      whom this device trusts, and why
    ring.py        which keys it holds
    outbox.py      the queue of points to be shared
    pausing.py     what a device does about a pause by itself
    points.py      sealing a point, and believing one
    reading.py     where everybody is and was
    last_known.py  where they were when the service last answered
    phones.py      what sets up a phone with OwnTracks
    reminding.py   which phones must be set up again, and telling their owner
    teller.py      how the member is told

    crypto.py      every construction of the protocol: pure functions on bytes
    links.py       codes and links
    naming.py      names: what one may be, which two are the same, and how those are told apart
    address.py     the address of a service
    map_links.py   the one position that a link of a map site holds
    pasted.py, characters.py
                   text as people paste it, and characters that a reader does not see
    transport.py   HTTP, as far as it is trusted
    unreachable.py why a request did not arrive
    shapes.py      a strict reader of answers
    answers.py     what the service says, as values
    api.py         its routes

    cli.py         the command line: reads arguments, calls Member, presents; with present.py,
                   render.py, when.py and explain.py, which says what a failed command leaves
    map.py, gpx.py, track.py, geo.py, places.py, last_shared.py
                   maps, files of tracks, which of their points are shared, positions, places of
                   one's own, the position that was shared last

Imports point one way:

    cli -> member -> joining, inviting, ... reading -> exchange -> census -> circle, ring -> home
                                                    -> api -> answers -> shapes -> crypto

What the service says stands in answers.py, and is never a reason to give anybody a
key. What this device knows is in circle.py and ring.py; only a member's word, a proof or a roster
under the present key changes it. Nobody but cli.py prints, nobody but home.py and vault.py writes
to the disk for the protocol's sake, and nobody but transport.py speaks to the network.
"""
