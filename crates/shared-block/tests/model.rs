//! The protocol under loom, which tries all interleavings up to a number of preemptions, and all values
//! that the memory orderings allow a load to see. Each model comes with a mistake that is planted to see
//! that it catches it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "in tests")]

mod machine;

use loom::thread;
use machine::{explore, is_caught, killed_at, Machine, Process};
use shared_block::protocol::Mistake;

/// A process reads whatever is in force, while another one publishes two blocks, in two places.
fn a_reader_beside_a_maker() {
    explore(3, || {
        let machine = Machine::new();
        let maker = Process::of(&machine, 1);
        maker.publish_next();
        let reader = Process::of(&machine, 2);
        let reads = thread::spawn(move || {
            reader.assert_whole();
            reader.assert_whole();
        });
        maker.publish_next();
        maker.publish_next();
        reads.join().unwrap();
        assert_eq!(maker.assert_whole(), 3);
    });
}

#[test]
fn a_block_that_is_read_stays_as_it_is() {
    a_reader_beside_a_maker();
}

#[test]
fn reading_without_a_second_look_is_caught() {
    assert!(is_caught(Mistake::ReadUnseen, a_reader_beside_a_maker));
}

/// A process reads while another one gives memory back.
fn a_reader_beside_a_cleaner() {
    explore(3, || {
        let machine = Machine::new();
        let maker = Process::of(&machine, 1);
        maker.publish_next();
        let reader = Process::of(&machine, 2);
        let reads = thread::spawn(move || reader.assert_whole());
        maker.publish_next();
        maker.clean();
        reads.join().unwrap();
        maker.clean();
        assert!(!maker.is_untidy());
        assert_eq!(machine.used(), 1);
        assert_eq!(maker.assert_whole(), 2);
    });
}

#[test]
fn memory_that_is_read_is_not_given_back() {
    a_reader_beside_a_cleaner();
}

#[test]
fn giving_memory_back_without_its_lock_is_caught() {
    assert!(is_caught(Mistake::CleanedUnlocked, a_reader_beside_a_cleaner));
}

/// A thread reads what another thread of its process publishes; a second process then publishes as often
/// as there are places.
fn threads_of_one_process() {
    explore(3, || {
        let machine = Machine::new();
        let (one, other) = (Process::of(&machine, 1), Process::of(&machine, 2));
        one.publish_next();
        let reader = one.clone();
        let reads = thread::spawn(move || reader.assert_whole());
        one.publish_next();
        other.publish_if_free();
        other.publish_if_free();
        reads.join().unwrap();
        other.assert_whole();
    });
}

#[test]
fn a_maker_leaves_the_locks_of_its_process_to_the_readers() {
    threads_of_one_process();
}

#[test]
fn taking_the_lock_of_a_place_back_late_is_caught() {
    assert!(is_caught(Mistake::UnlockedLate, threads_of_one_process));
}

/// Two threads of one process, and another process, all want to make a block.
fn makers() {
    explore(2, || {
        let machine = Machine::new();
        let (one, other) = (Process::of(&machine, 1), Process::of(&machine, 2));
        one.publish_next();
        let thread_of_one = {
            let one = one.clone();
            thread::spawn(move || one.publish_if_free())
        };
        let rival = thread::spawn(move || other.publish_if_free());
        let mine = one.publish_if_free();
        let published = [mine, thread_of_one.join().unwrap(), rival.join().unwrap()].map(u64::from);
        // Each block has a number of its own.
        assert_eq!(one.assert_whole(), 1 + published.iter().sum::<u64>());
    });
}

#[test]
fn one_makes_at_a_time_whatever_its_process() {
    makers();
}

#[test]
fn letting_a_second_thread_in_is_caught() {
    assert!(is_caught(Mistake::MakersUncounted, makers));
}

/// A maker is killed at any step, beside a reader; another process goes on.
fn a_maker_is_killed() {
    for step in 0..=MOST_STEPS {
        explore(2, move || {
            let machine = Machine::new();
            let (one, other) = (Process::of(&machine, 1), Process::of(&machine, 2));
            one.publish_next();
            let victim = {
                let machine = machine.clone();
                thread::spawn(move || {
                    killed_at(step, &machine, &one, |one| {
                        one.publish_next();
                        one.clean();
                    })
                })
            };
            other.assert_whole();
            let survived = victim.join().unwrap();
            assert!(survived || step < MOST_STEPS, "to publish takes more steps");
            let last = other.assert_whole();
            assert!((1..=2).contains(&last));
            other.clean();
            assert_eq!((other.is_untidy(), machine.used()), (false, 1));
            other.publish_next();
            other.clean();
            assert_eq!(other.assert_whole(), last + 1);
            assert_eq!((other.is_untidy(), machine.used()), (false, 1));
        });
    }
}

/// More than it takes to publish and to clean.
const MOST_STEPS: u32 = 40;

#[test]
fn a_maker_killed_at_any_step_stops_nobody() {
    a_maker_is_killed();
}

#[test]
fn memory_of_a_killed_maker_that_nobody_finds_is_caught() {
    assert!(is_caught(Mistake::MarkedTooLate, a_maker_is_killed));
}

#[test]
fn putting_a_block_in_force_too_early_is_caught() {
    assert!(is_caught(Mistake::PublishedTooEarly, a_maker_is_killed));
}
