//! What a classifier answers.

use serde_json::Value;

use super::{Classifier, Failure, Format, Verdict};

/// Reads the answer to a question about `count` texts: one verdict for each, in their order.
///
/// # Errors
///
/// Why there are none.
pub fn verdicts(
    classifier: &Classifier,
    status: u16,
    body: &[u8],
    count: usize,
) -> Result<Vec<Verdict>, Failure> {
    match status {
        200 => {}
        // It has read the question, and doesn't want the text: too long a one, say.
        400 | 413 | 422 => return Err(Failure::Undecided),
        _ => return Err(Failure::Unavailable),
    }
    let answer: Value = serde_json::from_slice(body).map_err(|_| Failure::Unavailable)?;
    let verdicts = match classifier.format {
        Format::LlamaGuard => return Ok(vec![llama_guard(&answer)?]),
        Format::Moderation => each(answer.get("results"), |one, _| moderation(classifier, one)),
        Format::Classify => each(answer.get("data"), |one, index| class(classifier, one, index)),
        Format::Presidio if count == 1 => presidio(classifier, &answer).map(|one| vec![one]),
        Format::Presidio => each(Some(&answer), |one, _| presidio(classifier, one)),
    };
    verdicts.filter(|verdicts| verdicts.len() == count).ok_or(Failure::Unavailable)
}

/// The verdicts of a list. `None`: it is no list, or one of them is none.
fn each(
    list: Option<&Value>,
    read: impl Fn(&Value, usize) -> Option<Verdict>,
) -> Option<Vec<Verdict>> {
    list?.as_array()?.iter().enumerate().map(|(index, one)| read(one, index)).collect()
}

/// An object with `flagged`, and `category_scores` from 0 to 1.
fn moderation(classifier: &Classifier, result: &Value) -> Option<Verdict> {
    let flagged = result.get("flagged")?.as_bool()?;
    let highest = || {
        let scores = result.get("category_scores")?.as_object()?;
        // A category that a model doesn't judge is null.
        let known = scores.values().filter(|score| !score.is_null()).map(thousandths);
        known.collect::<Option<Vec<_>>>()?.into_iter().max()
    };
    match classifier.threshold {
        Some(threshold) => Some(is_over(highest()?, threshold)),
        None => Some(Verdict { is_refused: flagged, score: highest().map(hundredths) }),
    }
}

/// A completion: `safe`, or `unsafe` with the categories in the next line. What is neither was made by a text that
/// has talked the model into it.
fn llama_guard(answer: &Value) -> Result<Verdict, Failure> {
    let content = answer.pointer("/choices/0/message/content").ok_or(Failure::Unavailable)?;
    let content = content.as_str().ok_or(Failure::Undecided)?.trim();
    match content.split_ascii_whitespace().next() {
        Some("safe") if content == "safe" => Ok(Verdict { is_refused: false, score: None }),
        Some("unsafe") => Ok(Verdict { is_refused: true, score: None }),
        _ => Err(Failure::Undecided),
    }
}

/// An object with the probabilities of the classes, and its place in the list.
fn class(classifier: &Classifier, one: &Value, index: usize) -> Option<Verdict> {
    let place = one.get("index").map_or(Some(index), |place| place.as_u64()?.try_into().ok());
    let probs = one.get("probs")?.as_array()?;
    let probs: Vec<u32> = probs.iter().map(thousandths).collect::<Option<_>>()?;
    if place != Some(index) || probs.is_empty() {
        return None;
    }
    let sum = match (classifier.classes.as_slice(), probs.as_slice()) {
        // Of a single class, the probability is that of a yes.
        ([], [only]) => *only,
        ([], probs) => probs.iter().skip(1).sum(),
        (classes, probs) => {
            let chosen = classes.iter().map(|class| probs.get(*class).copied());
            chosen.sum::<Option<u32>>()?
        }
    };
    Some(is_over(sum, classifier.threshold?))
}

/// A list of what was found, with scores from 0 to 1.
fn presidio(classifier: &Classifier, found: &Value) -> Option<Verdict> {
    let scores = found.as_array()?.iter().map(|one| {
        one.get("entity_type")?.as_str()?;
        thousandths(one.get("score")?)
    });
    let highest = scores.collect::<Option<Vec<_>>>()?.into_iter().max().unwrap_or(0);
    Some(is_over(highest, classifier.threshold?))
}

fn is_over(thousandths: u32, threshold: u8) -> Verdict {
    Verdict {
        is_refused: thousandths >= u32::from(threshold) * 10,
        score: Some(hundredths(thousandths)),
    }
}

/// Rounded down, so that it is as high as a threshold where the score itself is.
fn hundredths(thousandths: u32) -> u8 {
    u8::try_from(thousandths.min(1000) / 10).unwrap_or(100)
}

/// A number from 0 to 1, in thousandths. `None`: it is none.
fn thousandths(score: &Value) -> Option<u32> {
    let score = score.as_f64().filter(|score| (0.0..=1.0).contains(score))?;
    // Within 0 and 1,000.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some((score * 1000.0).round() as u32)
}
