"""Draugar: the table of contents."""

import gc

gc.disable()  # nothing that importing makes is garbage, and looking for it takes a sixth of a start

from chalicelib.auth.routes import blueprint as auth
from chalicelib.devices.routes import blueprint as devices
from chalicelib.docs.routes import blueprint as docs
from chalicelib.export.routes import blueprint as export
from chalicelib.groups.routes import blueprint as groups
from chalicelib.health.routes import blueprint as health
from chalicelib.invites.routes import blueprint as invites
from chalicelib.jobs.after_restore import blueprint as after_restore
from chalicelib.jobs.create_founding_invite import blueprint as create_founding_invite
from chalicelib.jobs.maintain_locations import blueprint as maintain_locations
from chalicelib.jobs.migrate import blueprint as migrate
from chalicelib.jobs.purge_expired_invites import blueprint as purge_expired_invites
from chalicelib.keys.routes import blueprint as keys
from chalicelib.locations.routes import blueprint as locations
from chalicelib.owntracks.routes import blueprint as owntracks
from chalicelib.settings import settings
from chalicelib.site.routes import blueprint as site
from chalicelib.users.routes import blueprint as users
from chalicelib.web import Application, gateway

settings()  # refuses to start, and says why, before any request does

app = Application(app_name="draugar")
app.register_middleware(gateway, "http")
for feature in (
    health,
    auth,
    devices,
    invites,
    users,
    groups,
    keys,
    locations,
    owntracks,
    export,
    docs,
    site,
):
    app.register_blueprint(feature)
jobs = (migrate, create_founding_invite, purge_expired_invites, maintain_locations, after_restore)
for job in jobs:
    app.register_blueprint(job)

gc.freeze()
gc.enable()
