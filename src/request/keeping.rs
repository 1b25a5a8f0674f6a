//! What a request has to do with objects that clients keep at the engine: those of its client, and new ones that
//! its answer tells of.

use std::rc::Rc;

use tollgate_core::detail::Cause;
use tollgate_core::metrics::{Counter, Part};
use tollgate_core::objects::memory::Life;
use tollgate_core::objects::{Access, Kind, Object, Owner, Remembered, Sightings, Standing, Takes};
use tollgate_core::principal::Principal;

use crate::clock::{mono_now, wall_now};
use crate::conf::MainConf;
use crate::observed;
use crate::per_worker::PerWorker;
use crate::types::Request;
use crate::zone::lock::ZoneLock;
use crate::zone::objects::MappedObjects;

/// What a request has to do with objects of its client.
pub(crate) struct Keeping {
    pub(super) book: Book,
    pub(super) access: Access,
    /// The one that it removes.
    pub(super) removes: Option<Object>,
    /// What its answer tells of new ones.
    pub(super) takes: Takes,
    /// Its body chooses the id of what it makes, which may be that of another client's.
    pub(crate) chooses_id: bool,
    /// While its answer is read.
    pub(super) sightings: Option<Sightings>,
}

/// Who made what, and who is asking.
pub(super) struct Book {
    objects: Rc<MappedObjects>,
    ttl: u64,
    /// `None`: nobody that is known.
    owner: Option<Owner>,
}

impl Book {
    /// `None`: nobody keeps it.
    pub(super) fn open(conf: &MainConf, principal: Option<&Principal>) -> Option<Self> {
        let (objects, content) = conf.objects()?;
        let owner = principal.map(|principal| objects.get().owner(principal.client()));
        Some(Self { objects: Rc::clone(objects), ttl: content.ttl, owner })
    }

    /// Whether it is known who asks.
    pub(super) fn has_owner(&self) -> bool {
        self.owner.is_some()
    }

    fn life(&self) -> Life {
        Life { ttl: self.ttl, now: wall_now().seconds() }
    }

    pub(super) fn object(&self, kind: Kind, id: &[u8]) -> Object {
        self.objects.get().object(kind, id)
    }

    /// Whether the object is the client's.
    pub(super) fn expect_own(&self, kind: Kind, id: &[u8]) -> Result<(), Cause> {
        let objects = self.objects.get();
        let owner = self.owner.ok_or(Cause::NobodysObject)?;
        let lock = ZoneLock::new(objects.lock());
        match objects.look(self.object(kind, id), owner, self.life(), &lock) {
            Standing::Own => Ok(()),
            Standing::Foreign => Err(Cause::AnothersObject),
            Standing::Unknown => Err(Cause::UnknownObject),
        }
    }

    /// Remembers an object as the client's; `None`: nobody is known to ask.
    pub(super) fn remember(&self, kind: Kind, id: &[u8]) -> Option<Remembered> {
        let objects = self.objects.get();
        let lock = ZoneLock::new(objects.lock());
        Some(objects.remember(self.object(kind, id), self.owner?, self.life(), &lock))
    }

    fn forget(&self, object: Object) {
        let objects = self.objects.get();
        if let Some(owner) = self.owner {
            objects.forget(object, owner, &ZoneLock::new(objects.lock()));
        }
    }
}

impl Keeping {
    /// Whether its answer is to be read: one that can be.
    pub(crate) fn takes_answer(&self) -> bool {
        !self.takes.is_nothing()
    }

    /// Whether it is being read.
    pub(crate) fn is_reading(&self) -> bool {
        self.sightings.is_some()
    }

    /// The header of the answer is there. `true`: its body has to come by in memory.
    pub(crate) fn begin(&mut self, r: Request<'_>) -> bool {
        let is_success = (200..300).contains(&r.status_out());
        // What is in a cache, was made for somebody before.
        if !is_success || r.is_from_cache() {
            return false;
        }
        if let Some(object) = self.removes {
            self.book.forget(object);
        }
        if !self.takes.is_nothing() && !r.has_no_body() && !r.is_encoded() {
            self.sightings = Some(Sightings::new(self.takes));
        }
        self.is_reading()
    }

    /// Remembers what the next bytes of the answer show, before the client sees them.
    pub(crate) fn read(&mut self, r: Request<'_>, bytes: &[u8]) {
        let Some(sightings) = &mut self.sightings else { return };
        let mut is_full = false;
        sightings.read(bytes, |kind, id| {
            if self.book.remember(kind, id) == Some(Remembered::NoRoom) {
                observed::count(Counter::ZoneFull(Part::Objects));
                is_full = true;
            }
        });
        if is_full && WARNED.with(|warned| warned.is_due()) {
            r.log().error(format_args!(
                "tollgate: tollgate_owned_objects \"{}\" has no room for a further object, which its client \
                 can't reach; make the zone larger",
                r.main_conf().objects_name()
            ));
        }
    }
}

/// When it was last said that there is no room, in nanoseconds.
#[derive(Default)]
struct Warned(Option<u64>);

static WARNED: PerWorker<Warned> = PerWorker::new(Warned::default);

impl Warned {
    fn is_due(&mut self) -> bool {
        const QUIET_NANOS: u64 = 60_000_000_000;
        let now = mono_now().0;
        let is_due = self.0.is_none_or(|then| now.saturating_sub(then) >= QUIET_NANOS);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}
