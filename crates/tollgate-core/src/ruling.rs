//! What is decided of a request, and what of that still holds wherever nginx leads it afterwards.
//!
//! nginx goes on with a request that was refused: an `error_page` leads it to another location, whose
//! `try_files`, `index` or `rewrite` leads it on, to a backend in the end. None of that is a reason to
//! let it in, and nginx's own flags don't tell (`recursive_error_pages` keeps them off). So:
//!
//! | the request comes to               | then                                                       |
//! |------------------------------------|------------------------------------------------------------|
//! | a file, by GET or HEAD             | it is served: the operator's page. The refusal stands      |
//! | a backend under the same policy    | refused again, in our words                                |
//! | a location under another policy    | judged there; that alone lifts a refusal                   |
//! | a location with `tollgate off`     | we have no say there; the refusal stands, as the log has it|
//!
//! `satisfy any` may let another module grant access: before we are asked, or, if it comes behind us
//! in the phase, after. Both are the business of the location where that happens, so that it lifts no
//! refusal that the same policy gave elsewhere, and counts for nothing where the request is led to.
//!
//! | transition  | from                     | to                                                       |
//! |-------------|--------------------------|----------------------------------------------------------|
//! | `decide`    | any                      | `Admitted(Us)`, or `Denied` in our words                 |
//! | `fail`      | any                      | `Denied` for a bug; who gets the operator's page keeps it |
//! | `grant`     | `Undecided`, `Denied`    | `Admitted(AnotherModule)`                                |
//! | `tell`      | `Denied`                 | `Denied` in our words                                    |
//! | `give_page` | `Denied`                 | `Denied` with the operator's page                        |
//! | `put`       | `Denied`                 | `Denied`, our answer made                                |
//! | `take`      | `Denied`, our answer made| `Denied`, our answer sent                                |

use crate::decision::{Decision, Reason};

/// What is decided of a request. `B` is the body of our answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ruling<B> {
    /// Nobody was asked yet.
    #[default]
    Undecided,
    /// It was let in.
    Admitted(By),
    /// It was refused; under `tollgate_dry_run` it would have been. What the client gets then.
    Denied(Reason, Page<B>),
}

/// Who let a request in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// We did.
    Us,
    /// Another module, under `satisfy any`.
    AnotherModule,
}

/// What the client of a refused request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page<B> {
    /// Our answer, in place of nginx's page.
    InOurWords,
    /// Our answer, whose head is on its way.
    Made(B),
    /// Our answer, which has been sent.
    Sent,
    /// The operator's `error_page`.
    Operators,
}

/// Where a request has come to.
pub trait Here {
    /// Whether the policy is that of the location which judged it last.
    fn has_same_policy(&self) -> bool;
    /// Whether a file is served, by GET or HEAD.
    fn serves_file(&self) -> bool;
    /// Whether another module granted access.
    fn is_granted_by_another(&self) -> bool;
    /// Whether this location has judged it: it was not led here, or it was asked again.
    fn was_judged(&self) -> bool;
    /// Whether it is answered already (`post_action`).
    fn is_after_answer(&self) -> bool;
}

/// What an internal redirect of a request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// This location judges for itself.
    Judge,
    /// What was decided holds here, too.
    Stands(Decision),
    /// The request is refused, and gets a page of the operator's.
    Page,
}

/// What becomes of a request whose answer is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// It is made.
    Goes,
    /// It is the operator's page of a refused request: [`Ruling::give_page`].
    Page,
    /// Another module granted access: [`Ruling::grant`].
    Granted,
    /// It must not be made, as the request is refused.
    Refused(Reason),
}

impl<B: Copy> Ruling<B> {
    /// What the log has of it; `None`: nothing was decided.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        match *self {
            Self::Undecided => None,
            Self::Admitted(_) => Some(Decision::Allow),
            Self::Denied(reason, _) => Some(Decision::Deny(reason)),
        }
    }

    /// Why it was denied, whether it is let through all the same or not.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.decision().and_then(Decision::reason)
    }

    /// Why it is refused. `is_dry_run`: it is let through all the same, unless that is for a bug.
    #[must_use]
    pub fn refused(&self, is_dry_run: bool) -> Option<Reason> {
        self.reason().filter(|reason| !is_dry_run || *reason == Reason::InternalError)
    }

    /// What a redirect means that has led to this location.
    pub fn arrive(&self, is_dry_run: bool, here: &impl Here) -> Arrival {
        match (*self, self.decision()) {
            (_, None) => Arrival::Judge,
            (Self::Denied(..), _) if self.refused(is_dry_run).is_some() && here.serves_file() => {
                Arrival::Page
            }
            // What another module granted, it granted in its location.
            (Self::Admitted(By::AnotherModule), _) => Arrival::Judge,
            (_, Some(decision)) if here.has_same_policy() => Arrival::Stands(decision),
            _ => Arrival::Judge,
        }
    }

    /// What becomes of a request before the handler that answers it.
    pub fn before_content(&self, is_dry_run: bool, here: &impl Here) -> Content {
        let refused = self.refused(is_dry_run);
        let stands = refused.map_or(Content::Goes, Content::Refused);
        // A `post_action` is judged by nobody, and no way to a backend for those who were refused.
        if here.is_after_answer() {
            return stands;
        }
        if here.was_judged() {
            return match (*self, refused) {
                (Self::Denied(_, Page::Operators), _) => Content::Goes,
                // A module behind us granted what we refused.
                (_, Some(reason))
                    if reason != Reason::InternalError && here.is_granted_by_another() =>
                {
                    Content::Granted
                }
                _ => stands,
            };
        }
        // `satisfy any`: somebody else granted access, and we were not asked.
        match (self.arrive(is_dry_run, here), refused) {
            (Arrival::Page, _) => Content::Page,
            (Arrival::Stands(_), _) | (Arrival::Judge, Some(Reason::InternalError)) => stands,
            (Arrival::Judge, _) => Content::Granted,
        }
    }

    /// A location has judged it.
    pub fn decide(&mut self, decision: Decision) {
        *self = match decision {
            Decision::Allow => Self::Admitted(By::Us),
            Decision::Deny(reason) => Self::Denied(reason, Page::InOurWords),
        };
    }

    /// A bug: whatever was decided, it is refused. Who gets the operator's page goes on to get it.
    pub fn fail(&mut self) {
        let page = match *self {
            Self::Denied(_, page) => page,
            Self::Undecided | Self::Admitted(_) => Page::InOurWords,
        };
        *self = Self::Denied(Reason::InternalError, page);
    }

    /// Another module granted access. Whether that changes anything.
    pub fn grant(&mut self) -> bool {
        let is_new = !matches!(self, Self::Admitted(_));
        if is_new {
            *self = Self::Admitted(By::AnotherModule);
        }
        is_new
    }

    /// The client of a refused request gets the operator's page.
    pub fn give_page(&mut self) {
        self.set_page(Page::Operators);
    }

    /// nginx is told that the request is refused.
    pub fn tell(&mut self) {
        self.set_page(Page::InOurWords);
    }

    /// Whether the answer, if it is to a refused request, is to be ours.
    #[must_use]
    pub fn is_in_our_words(&self) -> bool {
        !matches!(self, Self::Denied(_, Page::Operators))
    }

    /// This is the body of our answer.
    pub fn put(&mut self, body: B) {
        self.set_page(Page::Made(body));
    }

    /// The body of our answer, to be sent once.
    pub fn take(&mut self) -> Option<B> {
        let Self::Denied(_, Page::Made(body)) = *self else { return None };
        self.set_page(Page::Sent);
        Some(body)
    }

    /// Whether the client was promised a body of ours that it hasn't got.
    #[must_use]
    pub fn owes_body(&self) -> bool {
        matches!(self, Self::Denied(_, Page::Made(_)))
    }

    fn set_page(&mut self, new: Page<B>) {
        if let Self::Denied(_, page) = self {
            *page = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fate = Ruling<u8>;

    /// A location, by default under another policy, and one that another handler than ours answers.
    #[derive(Clone, Copy, Debug, Default)]
    struct Location {
        same: bool,
        file: bool,
        granted: bool,
        judged: bool,
        answered: bool,
    }

    impl Here for Location {
        fn has_same_policy(&self) -> bool {
            self.same
        }

        fn serves_file(&self) -> bool {
            self.file
        }

        fn is_granted_by_another(&self) -> bool {
            self.granted
        }

        fn was_judged(&self) -> bool {
            self.judged
        }

        fn is_after_answer(&self) -> bool {
            self.answered
        }
    }

    const REASON: Reason = Reason::InvalidCredential;
    const BUG: Reason = Reason::InternalError;

    fn denied(reason: Reason) -> Fate {
        let mut ruling = Fate::default();
        ruling.decide(Decision::Deny(reason));
        ruling
    }

    fn admitted() -> Fate {
        let mut ruling = Fate::default();
        ruling.decide(Decision::Allow);
        ruling
    }

    fn granted() -> Fate {
        let mut ruling = Fate::default();
        assert!(ruling.grant());
        ruling
    }

    fn with_page() -> Fate {
        let mut ruling = denied(REASON);
        ruling.give_page();
        ruling
    }

    /// All locations that there may be.
    fn locations() -> impl Iterator<Item = Location> {
        (0..32u8).map(|bits| {
            let is = |bit: u8| bits >> bit & 1 == 1;
            Location { same: is(0), file: is(1), granted: is(2), judged: is(3), answered: is(4) }
        })
    }

    #[test]
    fn a_redirect_of_a_refused_request_means_what_the_table_says() {
        let (other, same) = (Location::default(), Location { same: true, ..Location::default() });
        let file = Location { file: true, ..same };
        let refused = denied(REASON);
        assert_eq!(refused.arrive(false, &file), Arrival::Page);
        assert_eq!(refused.arrive(false, &same), Arrival::Stands(Decision::Deny(REASON)));
        assert_eq!(refused.arrive(false, &other), Arrival::Judge);
        // Who would have been refused gets no page of those who are.
        assert_eq!(refused.arrive(true, &file), Arrival::Stands(Decision::Deny(REASON)));
        assert_eq!(denied(BUG).arrive(true, &file), Arrival::Page);
        assert_eq!(Fate::default().arrive(false, &same), Arrival::Judge);
        assert_eq!(admitted().arrive(false, &file), Arrival::Stands(Decision::Allow));
        assert_eq!(granted().arrive(false, &same), Arrival::Judge);
    }

    #[test]
    fn nobody_who_is_refused_comes_to_a_backend_unless_another_module_grants_it_there() {
        for here in locations() {
            for (ruling, is_dry_run) in [(denied(REASON), false), (denied(BUG), true)] {
                let may_grant = ruling.reason() != Some(BUG) && !here.answered;
                match ruling.before_content(is_dry_run, &here) {
                    Content::Refused(_) => {}
                    Content::Page => assert!(here.file && !here.judged, "{here:?}"),
                    Content::Granted if here.judged => assert!(may_grant && here.granted),
                    // nginx asks nobody of us where `satisfy any` was met before.
                    Content::Granted => assert!(may_grant && !here.same, "{here:?}"),
                    Content::Goes => panic!("{here:?}"),
                }
            }
        }
    }

    #[test]
    fn whoever_was_let_in_is_never_stopped() {
        for here in locations() {
            for ruling in [admitted(), granted(), denied(REASON)] {
                let content = ruling.before_content(true, &here);
                assert!(matches!(content, Content::Goes | Content::Granted), "{here:?}");
            }
        }
    }

    #[test]
    fn a_page_is_served_where_it_was_given_and_not_to_those_who_are_led_on() {
        let there = Location { file: true, judged: true, ..Location::default() };
        assert_eq!(with_page().before_content(false, &there), Content::Goes);
        let backend = Location { same: true, ..Location::default() };
        assert_eq!(with_page().before_content(false, &backend), Content::Refused(REASON));
        let after = Location { answered: true, ..there };
        assert_eq!(with_page().before_content(false, &after), Content::Refused(REASON));
    }

    #[test]
    fn a_body_is_sent_once() {
        let mut ruling = denied(REASON);
        assert!(ruling.is_in_our_words() && !ruling.owes_body() && ruling.take().is_none());
        ruling.put(7);
        assert!(ruling.owes_body());
        assert_eq!((ruling.take(), ruling.take()), (Some(7), None));
        assert!(!ruling.owes_body());
        // Refused again, it gets another one.
        ruling.tell();
        ruling.put(8);
        assert_eq!(ruling.take(), Some(8));
    }

    #[test]
    fn who_is_refused_again_gets_our_words_and_not_the_page() {
        let mut ruling = denied(REASON);
        ruling.give_page();
        assert!(!ruling.is_in_our_words());
        ruling.tell();
        assert!(ruling.is_in_our_words());
    }

    #[test]
    fn a_bug_refuses_whatever_was_decided() {
        for mut ruling in [Fate::default(), admitted(), granted(), denied(REASON)] {
            ruling.fail();
            assert_eq!(ruling.refused(true), Some(BUG));
            assert!(ruling.is_in_our_words());
        }
        let mut ruling = with_page();
        ruling.fail();
        assert!(ruling.refused(true) == Some(BUG) && !ruling.is_in_our_words());
    }

    #[test]
    fn a_grant_takes_a_refusal_away_and_changes_nothing_else() {
        let mut ruling = with_page();
        assert!(ruling.grant());
        assert_eq!(ruling, Ruling::Admitted(By::AnotherModule));
        let mut ours = admitted();
        assert!(!ours.grant());
        assert_eq!(ours, Ruling::Admitted(By::Us));
        // What doesn't fit leaves things as they are.
        ours.put(1);
        ours.give_page();
        assert_eq!(ours, admitted());
    }
}
