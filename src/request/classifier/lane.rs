//! How many questions to a classifier a client has at a time in this worker. Its other requests wait: those of other
//! clients don't wait for them.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use crate::keys::waiting::Topic;

/// How many at a time.
const WIDTH: usize = 8;

thread_local! {
    /// Those that have questions. Only the thread that nginx runs in has any.
    static LANES: RefCell<HashMap<Key, Lane>> = RefCell::default();
}

/// Whose lane, and to which classifier.
type Key = (u64, Box<str>);

#[derive(Default)]
struct Lane {
    asked: usize,
    /// Who waits, whoever came first.
    waiting: VecDeque<Topic>,
}

/// One question's place in a lane. The next one has it when this is gone.
pub(super) struct Place(Key);

impl Place {
    /// A place, unless all are taken.
    pub(super) fn take(classifier: u64, client: &str) -> Option<Self> {
        LANES.with_borrow_mut(|lanes| {
            let key = (classifier, client.into());
            let lane = lanes.entry(key).or_default();
            if lane.asked >= WIDTH {
                return None;
            }
            lane.asked += 1;
            Some(Self((classifier, client.into())))
        })
    }
}

/// Has `topic` told when a place is free.
pub(super) fn wait(classifier: u64, client: &str, topic: Topic) {
    LANES.with_borrow_mut(|lanes| {
        if let Some(lane) = lanes.get_mut(&(classifier, client.into())) {
            if !lane.waiting.contains(&topic) {
                lane.waiting.push_back(topic);
            }
        }
    });
}

/// Whoever has waited for a place doesn't want it any more, or may have been told of one that it hasn't taken.
pub(super) fn leave(classifier: u64, client: &str) {
    tell_next(&(classifier, client.into()), |_| {});
}

/// Tells as many of those that wait as there are free places, after this change of the lane.
fn tell_next(key: &Key, change: impl FnOnce(&mut Lane)) {
    // While a process ends, there may be nothing left.
    let told = LANES.try_with(|lanes| {
        let mut lanes = lanes.borrow_mut();
        let Some(lane) = lanes.get_mut(key) else { return Vec::new() };
        change(lane);
        let mut told = Vec::new();
        while lane.asked + told.len() < WIDTH {
            match lane.waiting.pop_front() {
                Some(topic) if topic.is_awaited() => told.push(topic),
                Some(_) => {}
                None => break,
            }
        }
        if lane.asked == 0 && lane.waiting.is_empty() {
            lanes.remove(key);
        }
        told
    });
    for topic in told.unwrap_or_default() {
        topic.wake();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        tell_next(&self.0, |lane| lane.asked = lane.asked.saturating_sub(1));
    }
}
