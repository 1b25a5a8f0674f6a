//! Classifiers are asked about what a request says.
//!
//! * this: from one classifier to the next, and what becomes of the request;
//! * [`inquiry`]: the questions about one request to one classifier;
//! * [`lane`]: how many of them a client may have at a time.

mod inquiry;
mod lane;

use std::rc::Rc;

use tollgate_core::audit::GuardFindings;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::guards::classifier::windows::{windows, TooMany};
use tollgate_core::guards::classifier::Failure;
use tollgate_core::guards::{Action, RuleName};
use tollgate_core::llm::texts::{Place, Texts};

use crate::conf::guards::{Guards, InputClassifier};
use crate::keys::waiting::Topic;
use crate::observed;
use crate::types::Request;
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
    inquiry: Option<Inquiry>,
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
    let Some(first) = guards.classifiers.first() else { return Ok(()) };
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
                        Move::Refused(place) => refused(classifier, found, place),
                        Move::NotJudged { failure, is_late, place } => {
                            let cause = match (failure, is_late) {
                                (Failure::Undecided, _) => Cause::Undecided,
                                (Failure::Unavailable, false) => Cause::NotJudged,
                                (Failure::Unavailable, true) => Cause::NotJudgedInTime,
                            };
                            not_judged(classifier, found, cause, place)
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
        classifier: &Rc<InputClassifier>,
    ) -> Result<Inquiry, Option<Place>> {
        let texts = self.texts.as_ref().ok_or(None)?;
        let windows = windows(&classifier.classifier, classifier.roles, texts)
            .map_err(|TooMany(place)| Some(place))?;
        // They may be long, and the answers may take long.
        self.texts.take_if(|_| self.done + 1 == guards.classifiers.len());
        Ok(Inquiry::new(r, classifier, &self.client, windows))
    }
}

/// The classifier refuses the text that stands there.
fn refused(
    classifier: &InputClassifier,
    found: &mut GuardFindings,
    place: Place,
) -> Result<(), Unfit> {
    let name = RuleName(&classifier.rule).to_string();
    let action = classifier.rule.action;
    found.note(&classifier.rule, 1, 0);
    observed::found(&classifier.guard, &name, action, 1);
    match action {
        Action::Block => {
            let detail = Detail::new(Cause::GuardBlocked, name);
            Err(Unfit { detail, place: Some(place) })
        }
        _ => Ok(()),
    }
}

/// It doesn't say.
fn not_judged(
    asked: &InputClassifier,
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
