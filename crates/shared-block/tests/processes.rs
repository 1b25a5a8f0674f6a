//! What a process is promised of others, however those end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "in tests")]

use std::sync::Arc;

use shared_block::SharedBlock;

/// A block whose bytes all are its number, and whose length tells the number as well.
fn pattern(number: u64) -> Vec<u8> {
    let byte = u8::try_from(number % 251).unwrap();
    vec![byte; 100_000 + usize::from(byte) * 1000]
}

fn assert_whole(shared: &Arc<SharedBlock>) -> u64 {
    let mapping = shared.map().unwrap();
    let number = mapping.stamp().number();
    assert!(mapping.as_ref() == pattern(number), "block {number} is not whole");
    number
}

/// Another process, which ends with the value.
struct Child(libc::pid_t);

impl Child {
    /// Runs `f` in a process of its own; `true` is success.
    fn fork(f: impl FnOnce() -> bool) -> Self {
        // SAFETY: the child runs `f`, which needs no lock that another thread of the parent may hold (those
        // of the allocator are seen to by fork(3)), and ends without running what is the parent's.
        match unsafe { libc::fork() } {
            0 => {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
                let status = i32::from(!outcome.unwrap_or(false));
                // SAFETY: ends the process.
                unsafe { libc::_exit(status) }
            }
            pid @ 1.. => Self(pid),
            _ => panic!("{}", std::io::Error::last_os_error()),
        }
    }

    fn kill(&self) {
        // SAFETY: a child of ours that nobody has waited for.
        assert_eq!(unsafe { libc::kill(self.0, libc::SIGKILL) }, 0);
    }

    fn assert_running(&self) {
        // SAFETY: as above; the status isn't wanted.
        let ended = unsafe { libc::waitpid(self.0, std::ptr::null_mut(), libc::WNOHANG) };
        assert_eq!(ended, 0, "the process has ended by itself");
    }

    /// How it ended: its status as of wait(2).
    fn wait(&self) -> i32 {
        let mut status = 0;
        // SAFETY: as above.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
        status
    }
}

/// Publishes block after block for as long as the process lives.
fn publish_on(shared: &SharedBlock) -> bool {
    loop {
        let Some(maker) = shared.make() else { return false };
        let next = shared.current().map_or(0, shared_block::Stamp::number) + 1;
        if maker.publish(&pattern(next)).is_err() {
            return false;
        }
        maker.clean();
    }
}

#[test]
fn a_block_goes_from_one_process_to_another() {
    let shared = SharedBlock::new().unwrap();
    shared.make().unwrap().publish(&pattern(1)).unwrap();
    let child = Child::fork(|| {
        let read = assert_whole(&shared) == 1;
        read && shared.make().is_some_and(|maker| maker.publish(&pattern(2)).is_ok())
    });
    assert_eq!(child.wait(), 0);
    assert_eq!(assert_whole(&shared), 2);
}

#[test]
fn what_another_process_reads_is_not_written_over() {
    let shared = SharedBlock::new().unwrap();
    shared.make().unwrap().publish(&pattern(1)).unwrap();
    let mut ends = [0; 2];
    let mut answers = [0; 2];
    // SAFETY: two descriptors are written to each array.
    let made = unsafe { libc::pipe(ends.as_mut_ptr()) + libc::pipe(answers.as_mut_ptr()) };
    assert_eq!(made, 0);
    let say = |pipe: [i32; 2]| {
        // SAFETY: one byte is read from where one is.
        assert_eq!(unsafe { libc::write(pipe[1], [1u8].as_ptr().cast(), 1) }, 1);
    };
    let hear = |pipe: [i32; 2]| {
        let mut byte = [0u8];
        // SAFETY: one byte is written to where there is room for one.
        assert_eq!(unsafe { libc::read(pipe[0], byte.as_mut_ptr().cast(), 1) }, 1);
    };
    let child = Child::fork(|| {
        let mapping = shared.map().unwrap();
        say(answers);
        hear(ends);
        mapping.as_ref() == pattern(1)
    });
    hear(answers);
    let maker = shared.make().unwrap();
    for number in 2..100 {
        maker.publish(&pattern(number)).unwrap();
        maker.clean();
    }
    assert!(shared.is_untidy(), "its block is kept");
    say(ends);
    assert_eq!(child.wait(), 0);
    maker.clean();
    assert!(!shared.is_untidy());
}

#[test]
fn what_a_fork_leaves_behind_reads_as_empty_and_writes_nothing() {
    let shared = SharedBlock::new().unwrap();
    let maker = shared.make().unwrap();
    maker.publish(&pattern(1)).unwrap();
    let mapping = shared.map().unwrap();
    let (mut maker, mut mapping) = (Some(maker), Some(mapping));
    let child = Child::fork(|| {
        let (Some(maker), Some(mapping)) = (maker.take(), mapping.take()) else { return false };
        // The locks are the parent's.
        let is_empty = mapping.as_ref().is_empty();
        let is_refused = maker.publish(&pattern(9)).is_err();
        maker.set_seen(9);
        maker.clean();
        let another = shared.make().is_none();
        drop((mapping, maker));
        is_empty && is_refused && another && shared.seen() == 0 && assert_whole(&shared) == 1
    });
    assert_eq!(child.wait(), 0);
    assert!(mapping.is_some_and(|mapping| mapping.as_ref() == pattern(1)));
    maker.unwrap().publish(&pattern(2)).unwrap();
    assert_eq!(assert_whole(&shared), 2);
}

/// A process is killed while it publishes, wherever it is; another one goes on.
#[test]
fn a_killed_maker_leaves_a_whole_block_and_no_lock() {
    let shared = SharedBlock::new().unwrap();
    shared.make().unwrap().publish(&pattern(1)).unwrap();
    let mut killed = 0;
    for round in 0..200u32 {
        let before = assert_whole(&shared);
        let child = Child::fork(|| publish_on(&shared));
        // It has begun, and is somewhere else in its work each time.
        while shared.current().unwrap().number() < before + 2 {
            child.assert_running();
            std::thread::yield_now();
        }
        for _ in 0..round * 97 {
            std::hint::spin_loop();
        }
        child.kill();
        killed += usize::from(libc::WIFSIGNALED(child.wait()));
        let last = assert_whole(&shared);
        let maker = shared.make().expect("the dead have no lock");
        maker.publish(&pattern(last + 1)).unwrap();
        maker.clean();
        assert_eq!(assert_whole(&shared), last + 1);
        assert!(!shared.is_untidy());
        let page = 1 << 16;
        let most = pattern(last + 1).len() as u64 + 2 * page;
        assert!(shared.memory_used().unwrap() <= most, "the memory of the dead is given back");
    }
    assert_eq!(killed, 200);
}

/// Processes that are killed while they read: what they read is given back.
#[test]
fn a_killed_reader_makes_way() {
    let shared = SharedBlock::new().unwrap();
    shared.make().unwrap().publish(&pattern(1)).unwrap();
    // More than there are places.
    for _ in 0..50 {
        let before = assert_whole(&shared);
        let children: Vec<_> = (0..3)
            .map(|_| {
                Child::fork(|| loop {
                    assert_whole(&shared);
                })
            })
            .collect();
        {
            let maker = shared.make().unwrap();
            for number in 1..4 {
                maker.publish(&pattern(before + number)).unwrap();
            }
        }
        for child in &children {
            child.kill();
            assert!(libc::WIFSIGNALED(child.wait()), "every block that it read was whole");
        }
        shared.make().unwrap().clean();
        assert!(!shared.is_untidy());
    }
}
