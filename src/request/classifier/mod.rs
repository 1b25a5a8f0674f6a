//! Classifiers are asked about what a request says, and about what a model answers.
//!
//! * this: from one classifier to the next, and what becomes of the request;
//! * [`hearing`]: the same with an answer, while it comes;
//! * [`inquiry`]: the questions about one of them to one classifier;
//! * [`lane`]: how many of them a client may have at a time.

mod hearing;
mod inquiry;
mod lane;

use std::rc::Rc;

use tollgate_core::audit::GuardFindings;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::guards::classifier::windows::{windows, TooMany};
use tollgate_core::guards::classifier::Failure;
use tollgate_core::guards::{Action, RuleName};
use tollgate_core::llm::texts::{Place, Texts};

use crate::conf::guards::Guards;
use crate::conf::judge::Judge;
use crate::keys::waiting::Topic;
use crate::observed;
use crate::types::Request;
pub(crate) use hearing::Hearing;
use inquiry::{Inquiry, Move, QUESTION};

/// A request that classifiers judge.
pub(crate) struct Judging {
    /// `None` when the last classifier has its windows.
    texts: Option<Texts>,
    /// Who asks: one client can't have all that there is of a classifier.
    client: Box<str>,
    /// How many of them have judged it.
    done: usize,
    /// The one that does.
    inquiry: Option<Inquiry<Place>>,
}

/// What is waited for, and until when: nanoseconds of the monotonic clock.
pub(crate) struct Wait {
    pub(crate) topic: Topic,
    pub(crate) deadline: u64,
}

/// Why a request may not pass, and which of its texts is to blame, if one is.
pub(crate) struct Unfit {
    pub(crate) detail: Detail,
    pub(crate) place: Option<Place>,
}

/// Refuses a question of a classifier that has come back here: each would be followed by another one.
pub(super) fn refuse_questions(r: Request<'_>, guards: &Guards) -> Result<(), Detail> {
    let first = guards.classifiers.first().or(guards.judges.first());
    let Some(first) = first else { return Ok(()) };
    match r.headers_in().any(|line| line.name.eq_ignore_ascii_case(QUESTION.as_bytes())) {
        true => Err(Detail::new(Cause::QuestionLoop, first.classifier.uri.to_string())),
        false => Ok(()),
    }
}

impl Judging {
    /// Nobody has been asked yet about these texts of a client's.
    pub(super) fn new(texts: Texts, client: Box<str>) -> Self {
        Self { texts: Some(texts), client, done: 0, inquiry: None }
    }

    /// Goes on asking; what has to be waited for meanwhile.
    pub(super) fn go_on(
        &mut self,
        r: Request<'_>,
        guards: &Guards,
        found: &mut GuardFindings,
    ) -> Result<Option<Wait>, Unfit> {
        while let Some(classifier) = guards.classifiers.get(self.done) {
            let inquiry = match self.inquiry.take() {
                Some(inquiry) => Ok(inquiry),
                None => self.begin(r, guards, classifier),
            };
            let judged = match inquiry {
                Err(place) => not_judged(classifier, found, Cause::TooLongToJudge, place),
                Ok(inquiry) => {
                    let next = inquiry.go_on(r, found.injection_score());
                    if let Some(score) = inquiry.score() {
                        found.note_score(&classifier.rule, score);
                    }
                    match next {
                        Move::Wait(wait) => {
                            self.inquiry = Some(inquiry);
                            return Ok(Some(wait));
                        }
                        Move::Passes => Ok(()),
                        Move::Refused(place) => refused(classifier, found, Some(place)),
                        Move::NotJudged { failure, is_late, key } => {
                            not_judged(classifier, found, cause_of(failure, is_late), key)
                        }
                    }
                }
            };
            judged?;
            self.done += 1;
        }
        Ok(None)
    }

    /// The questions to the next classifier, or else which text is too much for it.
    fn begin(
        &mut self,
        r: Request<'_>,
        guards: &Guards,
        classifier: &Rc<Judge>,
    ) -> Result<Inquiry<Place>, Option<Place>> {
        let texts = self.texts.as_ref().ok_or(None)?;
        let windows = windows(&classifier.classifier, classifier.roles, texts)
            .map_err(|TooMany(place)| Some(place))?;
        // They may be long, and the answers may take long.
        self.texts.take_if(|_| self.done + 1 == guards.classifiers.len());
        let inquiry = Inquiry::new(classifier, &self.client, Topic::new());
        inquiry.add(r, windows.into_iter().map(|window| (window.place, window.text)));
        Ok(inquiry)
    }
}

fn cause_of(failure: Failure, is_late: bool) -> Cause {
    match (failure, is_late) {
        (Failure::Undecided, _) => Cause::Undecided,
        (Failure::Unavailable, false) => Cause::NotJudged,
        (Failure::Unavailable, true) => Cause::NotJudgedInTime,
    }
}

/// The classifier refuses the text that stands there, if that is known.
fn refused(
    classifier: &Judge,
    found: &mut GuardFindings,
    place: Option<Place>,
) -> Result<(), Unfit> {
    let name = RuleName(&classifier.rule).to_string();
    let action = classifier.rule.action;
    found.note(&classifier.rule, 1, 0);
    observed::found(&classifier.guard, &name, action, 1);
    match action {
        Action::Block => {
            let detail = Detail::new(Cause::GuardBlocked, name);
            Err(Unfit { detail, place })
        }
        _ => Ok(()),
    }
}

/// It doesn't say.
fn not_judged(
    asked: &Judge,
    found: &mut GuardFindings,
    cause: Cause,
    place: Option<Place>,
) -> Result<(), Unfit> {
    let classifier = &asked.classifier;
    let is_of_text = matches!(cause, Cause::Undecided | Cause::TooLongToJudge);
    // What a client can bring about is no way past a classifier.
    let passes = match classifier.action {
        Action::Block => classifier.allows_on_failure && !is_of_text,
        _ => true,
    };
    if passes {
        found.note_unjudged();
        return Ok(());
    }
    let detail = Detail::new(cause, classifier.uri.to_string());
    Err(Unfit { detail, place: place.filter(|_| is_of_text) })
}
