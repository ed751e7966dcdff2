"""The text of each code that a failure can have: what happened, and the command to type next.

A text is a template, filled in with the values of its failure. None repeats a key, token, invite
code, coordinate or what the service sent. A brace is written twice.
"""

from collections.abc import Mapping

from draugar.cli.refusals import NEWER_SERVICE, REFUSALS, UPDATE, Text
from draugar.errors import FailureCode

_NAME_ANOTHER = (
    "See that it is yours, can be written and that the disk is not full, or name another:"
    " draugar --home DIRECTORY where"
)
_AGAIN_LATER = "Run the same command again later."
_COPY_AGAIN = "Copy it again, whole, or ask for a new one. Then: draugar join LINK --name NAME"
_SHARE_SO = "Nothing was shared. Give it as in: draugar share 64.1466 -21.9426 --accuracy 15"
_DEGREES = "Give decimal degrees, like 64.1466 -21.9426, as in: draugar share 64.1466 -21.9426"
_OPEN_THE_MAP = (
    "Open the map in a browser, copy the two numbers of the spot, and then: draugar share"
    " 64.1466 -21.9426"
)
_ANOTHER_FILE = "Write the track to a GPX file again, or name another: draugar share --gpx FILE"
_MISTYPED_CODE = "This is not an invite code: one has 8 letters and digits, or 16 to 32."

TEXTS: Mapping[str, Text] = {
    **REFUSALS,
    FailureCode.REFUSED: NEWER_SERVICE,
    FailureCode.FAILED: Text(
        "It did not work.", "Try again, and see what the command takes: draugar --help"
    ),
    # This device's own memory
    FailureCode.NOT_JOINED: Text(
        "This device is not in a group yet.",
        "With an invite: draugar join LINK --name NAME. With a founding code: draugar found URL"
        " CODE --name NAME",
    ),
    FailureCode.ALREADY_JOINED: Text(
        "This device has joined already, as one person at one service.",
        "A further group of this service: draugar join LINK. Another person on this machine:"
        " draugar --home DIRECTORY join LINK --name NAME, with a new directory."
        " To found a group there: draugar --home DIRECTORY found URL CODE --name NAME",
    ),
    FailureCode.JOIN_UNFINISHED: Text(
        "An earlier attempt with another code was sent, and its answer was lost.",
        "To finish it, repeat that command with its code. To give it up, whose code may be used up"
        " then, add --start-over to this one: draugar join LINK --name NAME --start-over",
    ),
    FailureCode.HOME_UNUSABLE: Text(
        "The directory in which this device keeps its data cannot be used.", _NAME_ANOTHER
    ),
    FailureCode.HOME_NOT_EMPTY: Text(
        "That directory holds something else.",
        "Name a new or an empty one: draugar --home DIRECTORY where",
    ),
    FailureCode.HOME_NOT_MADE: Text(
        "This device cannot keep its data in {directory}: {error!e}.",
        _NAME_ANOTHER,
    ),
    FailureCode.HOME_OF_NEWER_VERSION: Text(
        "This home was last used by a newer version of draugar, and this one cannot read it."
        " Nothing was changed.",
        "Update this client, in the repository that it was installed from:"
        " git pull && pipx install --force ./client",
    ),
    FailureCode.HOME_KEY_MISSING: Text(
        "The key of this home is not in the {place}.",
        "Unlock the keyring, or bring the file back: without the key nothing here can be read. To"
        " delete what is here and join anew: draugar logout --local",
    ),
    FailureCode.HOME_KEY_NOT_WRITTEN: Text(
        "The key of this home cannot be written.", _NAME_ANOTHER
    ),
    FailureCode.HOME_SECRET_NOT_OPENED: Text(
        "A secret of this home does not open with its key.", _NAME_ANOTHER
    ),
    FailureCode.DISK_FULL: Text(
        "The disk on which this device keeps its data is full.",
        "Free some space on it, then run the same command again.",
    ),
    FailureCode.HOME_NOT_WRITABLE: Text(
        "The files in which this device keeps its data cannot be written.",
        "See that they are yours and that the disk is not read-only, then run the same command"
        " again.",
    ),
    FailureCode.HOME_NOT_READABLE: Text(
        "The files in which this device keeps its data cannot be read or written: the disk fails,"
        " is full, or does not allow it.",
        "See that the files are yours and that the disk has space, then run the same command"
        " again.",
    ),
    FailureCode.HOME_IN_USE: Text(
        "Another draugar command is writing to this device's data, and has not ended in time.",
        "When it has ended, run the same command again.",
    ),
    FailureCode.HOME_DAMAGED: Text(
        "The file {file}, in which this device keeps its data, is damaged.",
        "Bring the whole directory back from a backup, then run the same command again. Without"
        " one, delete what is here and join anew: draugar logout --local",
    ),
    FailureCode.NO_MEMORY: Text(
        "This machine has no memory left.",
        "Close other programs, then run the same command again.",
    ),
    FailureCode.DATABASE_FAILED: Text(
        "The database in which this device keeps its data fails.", _NAME_ANOTHER
    ),
    # The way to the service
    FailureCode.ADDRESS_NOT_SAFE: Text(
        "The service's address is not an https address.",
        "Use https://, or http:// with 127.0.0.1 to try it out on this machine, as in: draugar"
        " found https://family.example.org CODE --name NAME",
    ),
    FailureCode.ADDRESS_NOT_USABLE: Text(
        "This is not the address of a service.",
        "Nothing was sent. Give it again, as in: draugar found https://family.example.org CODE"
        " --name NAME, or on this machine: draugar found http://127.0.0.1:8000 CODE --name NAME",
    ),
    FailureCode.SERVICE_AWAY: Text("The service does not answer.", _AGAIN_LATER),
    FailureCode.NO_SUCH_HOST: Text(
        "No server is found by the name in the service's address: it is mistyped, or this machine"
        " has no network.",
        _AGAIN_LATER,
    ),
    FailureCode.NOT_THAT_SERVER: Text(
        "The server did not prove that it is the service's: nothing was sent to it.", _AGAIN_LATER
    ),
    FailureCode.CERTIFICATE_OF_ANOTHER: Text(
        "The server's certificate is for another host name than the one in the address, so nothing"
        " was sent to it. Check the address.",
        _AGAIN_LATER,
    ),
    FailureCode.CERTIFICATE_OUT_OF_DATE: Text(
        "The server's certificate is not valid today, so nothing was sent to it. Check this"
        " machine's clock, or tell the person who runs the service.",
        _AGAIN_LATER,
    ),
    FailureCode.CERTIFICATE_NOT_TRUSTED: Text(
        "The server's certificate is not signed by an authority that this machine trusts, so"
        " nothing was sent to it. Check the address, or tell the person who runs the service.",
        _AGAIN_LATER,
    ),
    FailureCode.NO_TLS: Text(
        "What answers at the address does not speak https, so nothing was sent to it. Check the"
        " address and its port.",
        _AGAIN_LATER,
    ),
    FailureCode.ANSWER_NOT_UNDERSTOOD: Text(
        "What answered is not a Draugar service, or one that this version does not understand.",
        f"Check the address, then run the same command again. {UPDATE}",
    ),
    FailureCode.NOT_LISTED: Text(
        "The service does not list this device in the group, or lists it with another key or owner."
        " Nothing was changed or sent.",
        "Ask the person who runs the service, by another way. To see your devices: draugar devices",
    ),
    FailureCode.NEWER_FORM: Text(
        "A member's device uses a newer draugar than this one can read. Nothing was changed.",
        f"{UPDATE} After that, run the same command again.",
    ),
    FailureCode.VERSION_WENT_BACK: Text(
        "The service shows an older key of the group than this device has seen: it was restored"
        " from a backup, or it tries to bring back a key that a former member knows. Nothing was"
        " sent.",
        "Ask the person who runs the service, by another way. Only if they have restored a backup:"
        " draugar rotate --restored",
    ),
    # Keys and trust
    FailureCode.KEY_NOT_TRUSTED: Text(
        "A member has given this device the group's key, and you have not confirmed that member"
        " here yet.",
        "See who it is and the number to compare with them: draugar confirm",
    ),
    FailureCode.KEY_OUTDATED: Text(
        "The group's key was changed, and no member has given this device the new one yet.",
        "Ask another member to run: draugar confirm. If they are asked to confirm you, compare"
        " the number that both of you see by: draugar confirm",
    ),
    FailureCode.IN_THE_CLEAR: Text(
        "The service says that this group has no key: it could read where the phone is.",
        "If not, ask the person who invited you. If that is what you want: draugar phone add NAME"
        " --in-the-clear",
    ),
    FailureCode.ROSTER_FULL: Text(
        "The group has more devices than one key can be made for.",
        "Ask the members to revoke those that they do not use any more: draugar devices",
    ),
    FailureCode.NO_DEVICE_TO_COMPARE: Text(
        "This member has no device of their own with a key, so there is no number to compare.",
        "See who has one: draugar people",
    ),
    FailureCode.OWN_DEVICE_NOT_COMPARED: Text(
        "A device of your own has no safety number.",
        "Revoke it: draugar devices revoke NAME. Then add it by a link: draugar invite --for-me",
    ),
    # Groups, people, devices, places
    FailureCode.IN_NO_GROUP: Text(
        "You are in no group.", "Ask a member for an invite, then: draugar join LINK"
    ),
    FailureCode.GROUP_NOT_NAMED: Text(
        "You are in several groups, and have not said which one is meant.",
        "See them: draugar groups. Then run the command again with --group NAME",
    ),
    FailureCode.GROUP_NAME_AMBIGUOUS: Text(
        "Several of your groups have this name.",
        "Give the id of one in its place: draugar groups --json",
    ),
    FailureCode.GROUP_UNKNOWN: Text(
        "You are in no group of this name or id.", "See your groups: draugar groups"
    ),
    FailureCode.PHONE_UNKNOWN: Text(
        "You have no such phone.", "See what there is: draugar devices"
    ),
    FailureCode.PLACE_UNKNOWN: Text(
        "You have no place of this name.", "See your places: draugar places"
    ),
    FailureCode.PLACE_NAME_TAKEN: Text(
        "You have a place of this name already.",
        "Choose another name, or remove that place first: draugar places remove NAME",
    ),
    FailureCode.YOURSELF: Text("This is yourself.", "To leave the group: draugar leave"),
    FailureCode.THIS_DEVICE: Text(
        "This is the device that you are using.", "To log out here: draugar logout"
    ),
    FailureCode.NAME_NOT_POSSIBLE: Text(
        "A name has 1 to {longest} characters, of which at least one shows, and no line breaks or"
        " other control characters.",
        "Run the same command again with another name, as in: --name Una",
    ),
    FailureCode.TID_NOT_POSSIBLE: Text(
        "A tid is two letters or digits.", "As in: draugar phone add NAME --tid un"
    ),
    # Invites
    FailureCode.FOUNDING_CODE_MISTYPED: Text(
        _MISTYPED_CODE, "Type it again as you were given it: draugar found URL CODE --name NAME"
    ),
    FailureCode.INVITE_CODE_MISTYPED: Text(
        _MISTYPED_CODE,
        "Type it again as you were given it: draugar join CODE --url URL --name NAME",
    ),
    FailureCode.INVITE_CODE_UNREADABLE: Text(_MISTYPED_CODE, _COPY_AGAIN),
    FailureCode.LINK_UNREADABLE: Text("This is not an invite link.", _COPY_AGAIN),
    FailureCode.LINK_WITHOUT_SERVICE: Text(
        "The beginning of this invite link is missing: give the service's address as well, by"
        " --url URL.",
        _COPY_AGAIN,
    ),
    FailureCode.LINK_DAMAGED: Text(
        "The end of this invite link is missing or damaged.", _COPY_AGAIN
    ),
    FailureCode.LINK_ADDRESS_NOT_POSSIBLE: Text(
        "A link leads to https://host, with a port and a path if need be, or to http:// on this"
        " machine.",
        _COPY_AGAIN,
    ),
    FailureCode.SEVERAL_LINKS: Text("There are several invite links in this text.", _COPY_AGAIN),
    FailureCode.LINK_FOR_NEW_DEVICE: Text(
        "This link is for a new device, and this one has joined already.",
        "Use it on the new device: draugar join LINK",
    ),
    FailureCode.LINK_TO_ANOTHER_SERVICE: Text(
        "This link leads to another service than the one that you are at.",
        "Join there as another person on this machine, with a new directory:"
        " draugar --home DIRECTORY join LINK --name NAME",
    ),
    FailureCode.LINK_LIVES_TOO_LONG: Text(
        "A link is good for at most seven days.", "Make one: draugar invite --hours 168"
    ),
    FailureCode.NO_LINK_FOR_ADDRESS: Text(
        "No link can name this service's address.",
        "Invite by a code instead: draugar invite --typed",
    ),
    # Sharing
    FailureCode.TIME_PAST: Text(
        "That time is past.", "Give a later time: draugar pause --until 2h", "Nothing was changed."
    ),
    FailureCode.POINT_NOT_POSSIBLE: Text("This is not a position that can be shared.", _SHARE_SO),
    **{
        code: Text(f"This position cannot be shared: {rule}.", _SHARE_SO)
        for code, rule in {
            FailureCode.LATITUDE_OUT_OF_RANGE: "a latitude is from -90 to 90",
            FailureCode.LONGITUDE_OUT_OF_RANGE: "a longitude is from -180 to 180",
            FailureCode.ACCURACY_OUT_OF_RANGE: "an accuracy is from 0 to {largest:,} metres",
            FailureCode.FURTHER_OUT_OF_RANGE: (
                "altitude, velocity, course and battery are at most {largest:,}"
            ),
            FailureCode.TIME_WITHOUT_ZONE: "its time has no zone",
            FailureCode.TIME_TOO_EARLY: "its time is before the year {year}",
            FailureCode.TIME_AHEAD: "its time is in the future",
        }.items()
    },
    # Positions, tracks and maps
    FailureCode.NOT_A_POSITION: Text("This is not a position.", _DEGREES),
    FailureCode.POSITION_NOT_FOUND: Text(
        "No position was found here: one is a latitude and a longitude. A latitude is a number from"
        " -90 to 90, a longitude is a number from -180 to 180, both with decimal points.",
        _DEGREES,
    ),
    FailureCode.NUMBER_OUT_OF_RANGE: Text(
        "A {name} is a number from -{limit} to {limit}.", _DEGREES
    ),
    FailureCode.DECIMAL_COMMA: Text(
        "A position is a latitude and a longitude, with decimal points.", _DEGREES
    ),
    FailureCode.NOT_ONE_OF_EACH: Text("A position is one latitude and one longitude.", _DEGREES),
    FailureCode.LOOKS_SWAPPED: Text(
        "A latitude is a number from -90 to 90: these look swapped.",
        "Give the latitude first, as in: draugar share 64.1466 -21.9426",
    ),
    FailureCode.NOT_WGS84: Text(
        "This position is not of WGS 84, as those of phones and maps are.", _DEGREES
    ),
    FailureCode.SEARCH_ADDRESS: Text("This is the address of a search, and no position.", _DEGREES),
    FailureCode.SIGN_AND_LETTER: Text(
        "A number has a minus or a letter of the compass, not both.", _DEGREES
    ),
    FailureCode.SIXTY_OR_MORE: Text("Minutes and seconds of a degree are less than 60.", _DEGREES),
    FailureCode.MAP_LINK_WITHOUT_POSITION: Text(
        "This link holds no position that can be read without opening it.", _OPEN_THE_MAP
    ),
    FailureCode.MAP_LINK_AMBIGUOUS: Text("This link holds several positions.", _OPEN_THE_MAP),
    FailureCode.MAP_LINK_DAMAGED: Text("This link is damaged.", _OPEN_THE_MAP),
    FailureCode.SEVERAL_MAP_LINKS: Text("There are several links in this text.", _OPEN_THE_MAP),
    FailureCode.NOT_A_TRACK: Text("This file holds no track that can be shared.", _ANOTHER_FILE),
    FailureCode.FILE_TOO_LARGE: Text("The file is larger than {mebibytes} MiB.", _ANOTHER_FILE),
    FailureCode.NO_TRACK_POINTS: Text("The file holds no track points.", _ANOTHER_FILE),
    FailureCode.NOT_XML: Text(
        "The file is not XML, as GPX is: line {line} is broken.", _ANOTHER_FILE
    ),
    FailureCode.UNKNOWN_ENTITY: Text(
        "Line {line} uses an entity, which GPX has not.", _ANOTHER_FILE
    ),
    FailureCode.UNKNOWN_ENCODING: Text(
        "The file is in an encoding that cannot be read; save it as UTF-8.", _ANOTHER_FILE
    ),
    FailureCode.DOCUMENT_TYPE: Text(
        "The file has a document type, which GPX has not.", _ANOTHER_FILE
    ),
    FailureCode.TILES_NOT_USABLE: Text(
        "This is not the address of map tiles.",
        "As in: draugar map --tiles 'https://tiles.example.org/{{z}}/{{x}}/{{y}}.png'",
    ),
}
