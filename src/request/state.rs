//! What is known about one request, from the first callback to the last.

use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::answer::{answer, model_not_found, Answer};
use tollgate_core::credential::Forwarded;
use tollgate_core::decision::Reason;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::keys::KeyOwner;
use tollgate_core::llm::catalogue::Held;
use tollgate_core::llm::engines::{Page, Route};
use tollgate_core::llm::{Dialect, Endpoint, RequestError};
use tollgate_core::permissions::features::Changes;
use tollgate_core::permissions::FeatureRefusal;
use tollgate_core::principal::Principal;
use tollgate_core::ruling::Ruling;

use crate::clients::counting::ClientFlight;
use crate::conf::policy::Policy;
use crate::conf::rules::Tier;
use crate::keys::introspection::Inquiry;
use crate::keys::waiting::Waiting;
use crate::observed;
use crate::request::awaiting::Awaiting;
use crate::request::body::{Change, Reading};
use crate::request::charges::Charges;
use crate::request::grounds::Grounds;
use crate::request::guarded::Guarded;
use crate::request::keeping::Keeping;
use crate::request::meter::Metering;
use crate::request::queue::Queued;
use crate::request::renaming::Renaming;
use crate::request::report::{LimitReport, Shown};
use crate::request::reservation::Reservation;
use crate::request::running::Running;
use crate::request::suspicion::Counted;
use crate::request::web_page::WebPage;
use crate::types::{Request, Tollgate};
use nginx::request::Keeper;
use nginx::{Kept, Reader};

/// The state of a request. It outlives internal redirects.
pub(crate) struct State {
    /// The policy of the location that judged it last.
    pub(crate) policy: Rc<Policy>,
    /// What was decided, and what the client gets of that.
    pub(crate) ruling: Ruling<Kept>,
    /// What the client presented; the header lines themselves are gone once it was admitted.
    pub(crate) credential: SavedCredential,
    /// What proxies said of the client's certificate.
    pub(crate) forwarded: SavedForwarded,
    /// What it said of the page that it comes from, where pages may read answers.
    pub(crate) web_page: Option<Box<WebPage>>,
    /// The header of the request was looked through for that.
    pub(crate) is_page_noted: bool,
    pub(crate) principal: Option<Arc<Principal>>,
    /// Who it is by what came into force while it waited.
    pub(crate) later: Option<Later>,
    /// What that was judged by.
    pub(crate) grounds: Option<Grounds>,
    /// There while the request can be cut off.
    pub(crate) running: Option<Running>,
    /// Why it was cut off.
    pub(crate) cut_off: Option<Reason>,
    /// What exactly was the cause of its refusal, or of its being cut off.
    pub(crate) detail: Option<Detail>,
    /// Whose key it was that was refused.
    pub(crate) refused_owner: Option<KeyOwner>,
    pub(crate) tier: Option<Rc<Tier>>,
    /// The limit that refused, for the log.
    pub(crate) limit: Option<LimitReport>,
    /// From how many networks its key is used within an hour, if that is more than it may be.
    pub(crate) networks: Option<u16>,
    /// The limits that the client is told about.
    pub(crate) shown: Shown,
    /// The model that was asked for, if no metering has it: it was refused, or takes no tokens.
    pub(crate) asked_model: Option<Box<str>>,
    /// The client is told that there is no such model.
    pub(crate) hides_model: bool,
    /// The model that is put into a request that names none.
    pub(crate) put_model: Option<Box<str>>,
    /// What tells of models and is asked for.
    pub(crate) page: Option<Page>,
    /// That, as it came from the engine.
    pub(crate) held: Option<Box<Held>>,
    /// What is wrong with the body of the request.
    pub(crate) malformed: Option<RequestError>,
    /// What of its tier's features it asked for and may not.
    pub(crate) denied: Option<FeatureRefusal>,
    /// Nanoseconds until the same request would pass; 0 where waiting doesn't help.
    pub(crate) wait_nanos: u64,
    /// The client's id for the request if it is well-formed, else ours.
    pub(crate) request_id: Kept,
    /// What the client asks for.
    pub(crate) route: Option<Route>,
    /// The path that it was judged by last: the one that the engine gets.
    pub(crate) judged_path: Kept,
    /// No endpoint is known by it, and variables of `proxy_pass` may make one of it.
    pub(crate) awaits_path: bool,
    pub(crate) step: Step,
    /// What was counted as a wrong credential when it had a provider asked about it.
    pub(crate) suspicion: Option<Rc<Counted>>,
    /// What it waits for of a provider.
    pub(crate) asked: Option<Box<Asked>>,
    /// Its place in the queue.
    pub(crate) ticket: Option<Box<Queued>>,
    /// What it holds while it waits for the store.
    pub(crate) awaiting: Option<Box<Awaiting>>,
    pub(crate) charged: Charges,
    /// What it asks for is a page of ours (`tollgate_metrics`, say), and nothing of an engine.
    pub(crate) is_for_page: bool,
    /// There while it counts as in flight.
    pub(crate) in_flight: Option<observed::Counted>,
    /// There while it counts as one of its client's in flight.
    pub(crate) of_client: Option<ClientFlight>,
    /// What it holds until it ends.
    pub(crate) reservations: Vec<Reservation>,
    /// Its body, while that is being read.
    pub(crate) reading: Option<Box<Reading>>,
    pub(crate) metering: Option<Box<Metering>>,
    /// What the client calls its model, if no metering has it.
    pub(crate) renaming: Option<Box<Renaming>>,
    /// Whether it was judged by what its body uses.
    pub(crate) is_looked_at: bool,
    /// What of its body its tier changes.
    pub(crate) feature_changes: Changes,
    /// What it has to do with objects of its client.
    pub(crate) keeping: Option<Box<Keeping>>,
    /// What guards have to do with it.
    pub(crate) guarded: Option<Box<Guarded>>,
    /// How its body was changed.
    pub(crate) edit: Option<Box<Change>>,
    /// The statuses with which nginx was told of refusals.
    pub(crate) refused_with: RefusedWith,
    /// A variable failed, and was taken as empty.
    pub(crate) broken: bool,
    /// Somebody asked for `$tollgate_...` before there was anything in them.
    pub(crate) was_read_early: bool,
    /// A header filter failed, and the response became a 500.
    pub(crate) abandoned: bool,
}

/// The statuses with which nginx was told of refusals: the first two, as there is no way back after these.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RefusedWith([u16; 2]);

impl RefusedWith {
    /// Notes one more. `true`: it was there before, or is not the second one.
    pub(crate) fn is_again(&mut self, status: u16) -> bool {
        let Self([first, second]) = self;
        if *first == 0 {
            *first = status;
            return false;
        }
        let is_again = *first == status || *second != 0;
        if *second == 0 {
            *second = status;
        }
        is_again
    }
}

/// Who somebody has become while his request waited. What was reserved, or is shown, stays by what he was.
pub(crate) struct Later {
    pub(crate) principal: Arc<Principal>,
    pub(crate) tier: Option<Rc<Tier>>,
}

/// How far the judging of a request has come. It stops where something has to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing has happened yet, or everything has.
    Credential,
    /// A provider was asked about the credential.
    Provider,
    /// The body is being read.
    Body,
    /// Guards are looking through what it says.
    Guards,
    /// A classifier was asked about that.
    Classifier,
    /// It is in the queue.
    Turn,
    /// It waits for the store.
    Lease,
}

/// A question to a provider that a request waits for.
pub(crate) struct Asked {
    pub(crate) inquiry: Option<Rc<Inquiry>>,
    /// When it has to go on without an answer, in nanoseconds of the monotonic clock.
    pub(crate) deadline: u64,
    /// `None` while it is being judged.
    pub(crate) waiting: Option<Waiting>,
}

/// What the client presented, for a location that an internal redirect leads to.
#[derive(Clone, Copy)]
pub(crate) enum SavedCredential {
    One {
        bytes: Kept,
        bearer: bool,
        raw: bool,
    },
    /// None, or several: that is refused.
    Not(Cause),
}

/// What proxies said of the client's certificate; whether they may, is for each location to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SavedForwarded {
    None,
    One(Kept),
    /// In several header lines.
    Several,
}

impl SavedForwarded {
    #[inline]
    pub(crate) fn of<'r>(presented: Forwarded<'r>, keeper: &Keeper<'r>) -> Self {
        match presented {
            Forwarded::None => Self::None,
            Forwarded::One(header) => Self::One(keeper.keep(header)),
            Forwarded::Several => Self::Several,
        }
    }
}

impl SavedCredential {
    /// What was presented, if that is one thing.
    pub(crate) fn bytes<'r>(self, r: Request<'r>) -> Option<&'r [u8]> {
        match self {
            Self::One { bytes, .. } => Some(r.kept(bytes)).filter(|bytes| !bytes.is_empty()),
            Self::Not(_) => None,
        }
    }
}

impl State {
    #[inline(always)]
    pub(crate) fn new(
        policy: Rc<Policy>,
        request_id: Kept,
        credential: SavedCredential,
        forwarded: SavedForwarded,
    ) -> Self {
        Self {
            policy,
            ruling: Ruling::Undecided,
            credential,
            forwarded,
            web_page: None,
            is_page_noted: false,
            principal: None,
            later: None,
            grounds: None,
            running: None,
            cut_off: None,
            detail: None,
            refused_owner: None,
            tier: None,
            limit: None,
            networks: None,
            shown: Shown::default(),
            asked_model: None,
            hides_model: false,
            put_model: None,
            page: None,
            held: None,
            malformed: None,
            denied: None,
            wait_nanos: 0,
            request_id,
            judged_path: Kept::EMPTY,
            awaits_path: false,
            route: None,
            step: Step::Credential,
            suspicion: None,
            asked: None,
            ticket: None,
            awaiting: None,
            charged: Charges::default(),
            is_for_page: false,
            in_flight: None,
            of_client: None,
            reservations: Vec::new(),
            reading: None,
            metering: None,
            renaming: None,
            is_looked_at: false,
            feature_changes: Changes::default(),
            keeping: None,
            guarded: None,
            edit: None,
            refused_with: RefusedWith::default(),
            broken: false,
            was_read_early: false,
            abandoned: false,
        }
    }

    /// What is asked for, and by which path. Nothing else was found yet.
    #[inline]
    pub(crate) fn begin(&mut self, r: Request<'_>, (path, route): (&[u8], Route)) {
        self.route = Some(route);
        self.judged_path = r.keep(path);
    }

    /// A location judges for itself, whatever another one found. What was charged stays charged.
    pub(crate) fn start_over(
        &mut self,
        policy: &Rc<Policy>,
        r: Request<'_>,
        (path, route): (&[u8], Route),
    ) {
        self.policy = Rc::clone(policy);
        self.begin(r, (path, route));
        self.awaits_path = false;
        (self.principal, self.tier, self.refused_owner) = (None, None, None);
        (self.later, self.grounds, self.running, self.detail) = (None, None, None, None);
        (self.wait_nanos, self.denied, self.is_looked_at) = (0, None, false);
        self.networks = None;
        self.feature_changes = Changes::default();
        self.step = Step::Credential;
        (self.asked, self.reading, self.keeping) = (None, None, None);
        (self.asked_model, self.put_model, self.hides_model) = (None, None, false);
        self.renaming = None;
        self.guarded = None;
        self.is_for_page = false;
        self.wait_no_more();
    }

    /// The form of what the client asks for, if it is known.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        self.route.and_then(|route| route.form)
    }

    /// How refusals look to it.
    pub(crate) fn dialect(&self) -> Dialect {
        self.route.map(|route| route.dialect).unwrap_or_default()
    }

    /// Gives its place in the queue up.
    pub(crate) fn leave_queue(&mut self) {
        self.ticket = None;
    }

    /// Gives up all that it waits for.
    pub(crate) fn wait_no_more(&mut self) {
        (self.ticket, self.awaiting) = (None, None);
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.ruling.reason()
    }

    /// Whether it is let through, whatever is decided. A page is for whom it is for: only what goes to an engine
    /// is tried out.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.policy.dry_run && !self.is_for_page
    }

    /// The answer to a request that was refused, and is not let through all the same.
    pub(crate) fn refusal(&self) -> Option<&'static Answer> {
        self.ruling.refused(self.is_dry_run()).map(|reason| self.answer_to(reason))
    }

    /// The answer to a request that is refused for `reason`.
    pub(crate) fn answer_to(&self, reason: Reason) -> &'static Answer {
        match reason {
            Reason::ModelDenied if self.hides_model => model_not_found(),
            reason => answer(reason),
        }
    }
}

/// An answer is read for what it took, and for new objects.
impl Reader<Tollgate> for State {
    fn hides(&self) -> bool {
        self.metering.as_ref().is_some_and(|metering| metering.hides())
            || self.guarded.as_ref().is_some_and(|guarded| guarded.screen.is_some())
            || self.renaming.as_ref().is_some_and(|renaming| renaming.is_reading())
    }

    fn read(&mut self, r: Request<'_>, bytes: &[u8], mut pass: impl FnMut(nginx::Part<'_>)) {
        // Before the client can name one.
        if let Some(keeping) = &mut self.keeping {
            keeping.read(r, bytes);
        }
        let metering = self.metering.as_deref_mut().filter(|metering| metering.is_reading());
        let guarded = self.guarded.as_deref_mut().filter(|guarded| guarded.shows());
        let Some(guarded) = guarded else {
            return match (metering, &mut self.renaming) {
                (Some(metering), _) => metering.read(r, bytes, pass),
                (None, Some(renaming)) => renaming.read(bytes, pass),
                (None, None) => pass(nginx::Part::Range(0..bytes.len())),
            };
        };
        let mut show = |part: nginx::Part<'_>| guarded.read(r, &part, bytes, &mut pass);
        match metering {
            Some(metering) => metering.read(r, bytes, show),
            None => show(nginx::Part::Range(0..bytes.len())),
        }
        self.note_halt(r);
    }

    fn finish(&mut self, r: Request<'_>, mut pass: impl FnMut(nginx::Part<'_>)) {
        let metering = self.metering.as_deref_mut().filter(|metering| metering.is_reading());
        let guarded = self.guarded.as_deref_mut().filter(|guarded| guarded.shows());
        match (metering, guarded) {
            (metering, Some(guarded)) => {
                if let Some(metering) = metering {
                    metering.finish(r, |part| guarded.read(r, &part, &[], &mut pass));
                }
                guarded.finish(r, &mut pass);
                self.note_halt(r);
            }
            (Some(metering), None) => metering.finish(r, pass),
            (None, None) => {}
        }
    }

    fn go_on(&mut self, r: Request<'_>, mut pass: impl FnMut(nginx::Part<'_>)) {
        if let Some(guarded) = self.guarded.as_deref_mut() {
            guarded.go_on(r, &mut pass);
            self.note_halt(r);
        }
    }

    fn is_waiting(&self) -> bool {
        self.guarded.as_deref().is_some_and(Guarded::is_waiting)
    }

    fn is_full(&self, unsent: u64) -> bool {
        self.guarded.as_deref().is_some_and(|guarded| guarded.is_full(unsent))
    }

    fn lags(&mut self, r: Request<'_>) {
        if let Some(guarded) = self.guarded.as_deref_mut() {
            guarded.lags(r);
        }
    }
}
