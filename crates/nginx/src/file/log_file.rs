//! A log file: opened, reopened and closed by nginx, written to by us.

use std::ffi::c_void;
use std::fs::File;
use std::io::ErrorKind;
use std::ptr::null_mut;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ngx::ffi::{
    ngx_add_timer, ngx_conf_open_file, ngx_cycle_t, ngx_del_timer, ngx_delete_posted_event,
    ngx_event_t, ngx_log_t, ngx_open_file_t, ngx_post_event, ngx_posted_events, write,
};
use parking_lot::Mutex;

use super::batch::{Batch, Written};
use super::buffering::Buffering;
use super::open_files;
use super::seal::{identity, Closing, Seal, Torn};
use super::stream::{hold_open, never_wait};
use super::torn_line::{TornLine, RETRY_MS, RETRY_TORN_MS};
use super::trouble::{Title, Trouble};
use crate::clock::cached_wall_ms;
use crate::conf::context::{keep, ConfContext, ConfError};
use crate::guard::guard;
use crate::log::cycle_error;
use crate::tally;

/// Milliseconds until it is tried again to write what a reader has had no room for.
const RETRY_STREAM_MS: u64 = 20;
/// How long the end of a process waits for such a reader, or for the rest of a line of others.
const READER_PATIENCE: Duration = Duration::from_secs(1);
const READER_PAUSE: Duration = Duration::from_millis(5);
/// So many bytes get into a pipe as a whole, or not at all, whoever else writes to it: `PIPE_BUF`, pipe(7).
const PIECE: usize = 4096;

/// A log file, and the lines that wait for being written to it. Each worker has its own
/// copy of the waiting lines.
#[derive(Debug)]
pub struct LogFile {
    title: Title,
    path: String,
    buffering: Buffering,
    file: *mut ngx_open_file_t,
    /// Another directive writes to it, too.
    is_shared: bool,
    /// A named pipe, held open for reading as well: so nobody waits for a reader who opens it for writing.
    _pipe: Option<File>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    batch: Batch,
    event: ngx_event_t,
    trouble: Trouble,
    /// The descriptor that was written to last; another one is that of another file.
    fd: i32,
    /// That is one of a pipe or a terminal, which takes no more than somebody reads.
    is_stream: bool,
    /// The file is closed, or about to be.
    is_over: bool,
    /// What seals the lines.
    sealer: Option<Box<dyn Seal>>,
    /// The process ends.
    is_ending: bool,
    torn: Option<Torn>,
    torn_line: TornLine,
}

impl LogFile {
    /// Has nginx open the file.
    pub fn open(
        cx: &ConfContext<'_>,
        title: Title,
        path: &str,
        buffering: Buffering,
    ) -> Result<Rc<Self>, ConfError> {
        let failed = || ConfError::new(format!("cannot open \"{path}\""));
        let mut name = cx.pool_str(path.as_bytes()).ok_or_else(failed)?;
        // SAFETY: the cycle is valid while it is being configured, and so is the entry that nginx
        // gives, for as long as the cycle is.
        let (file, is_shared) = unsafe {
            let cycle = (*cx.as_ptr()).cycle;
            let known = open_files::count(cycle);
            let file = ngx_conf_open_file(cycle, &raw mut name);
            (file, known == open_files::count(cycle))
        };
        // SAFETY: as above.
        let entry = unsafe { file.as_mut() }.ok_or_else(failed)?;
        if entry.flush.is_some() || !entry.data.is_null() {
            return Err(ConfError::new(format!(
                "\"{path}\" is a buffered log of another directive; give {} a file of its own",
                title.directive
            )));
        }
        let pipe = if is_shared { None } else { hold_open(&cx.prefix_path(path)?) };
        // SAFETY: a structure of pointers, numbers and flags, for which zero is a value.
        let event = unsafe { std::mem::zeroed() };
        let (batch, trouble) = (Batch::new(buffering.size), Trouble::default());
        let waiting = Waiting {
            batch,
            event,
            trouble,
            fd: -1,
            is_stream: false,
            is_over: false,
            sealer: None,
            is_ending: false,
            torn: None,
            torn_line: TornLine::default(),
        };
        let (path, waiting) = (path.to_owned(), Mutex::new(waiting));
        let log = Rc::new(Self { title, path, buffering, file, is_shared, _pipe: pipe, waiting });
        // nginx refers to it for as long as the configuration lives.
        keep(cx, Rc::clone(&log)).ok_or_else(failed)?;
        entry.data = (&raw const *log).cast_mut().cast();
        entry.flush = Some(on_reopen);
        Ok(log)
    }

    /// As the directive has it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether a directive that isn't ours writes to the file, too.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// When lines are written.
    #[must_use]
    pub fn buffering(&self) -> Buffering {
        self.buffering
    }

    /// Has this process seal its lines from now on.
    pub fn seal_by(&self, sealer: Box<dyn Seal>) {
        self.waiting.lock().sealer = Some(sealer);
    }

    /// Has all that waits sealed and written now; where nothing does, a seal of nothing.
    pub fn seal(&self) {
        let mut waiting = self.waiting.lock();
        self.look_at_file(&mut waiting);
        if waiting.sealer.is_some() && waiting.batch.is_empty() {
            Self::close(&mut waiting);
        }
        self.flush(&mut waiting);
    }

    /// Adds a line, which `line` appends to the bytes it is given. Whether there was room for it.
    pub fn append(&self, line: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.add(line, false)
    }

    /// The same for a line of the log's own, which is none of those that are counted.
    pub fn append_own(&self, line: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.add(line, true)
    }

    fn add(&self, line: impl FnOnce(&mut Vec<u8>), is_own: bool) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.batch.is_full() {
            // Maybe it can be written again.
            self.flush(&mut waiting);
        }
        let Waiting { batch, sealer, .. } = &mut *waiting;
        let (mut is_taken, mut is_long) = (false, false);
        let write = |lines: &mut Vec<u8>| {
            is_taken = true;
            let start = lines.len();
            line(lines);
            if let Some(sealer) = sealer {
                is_long = sealer.add(lines, start);
            }
        };
        let is_full = if is_own { batch.push_own(write) } else { batch.push(write) };
        if !is_taken && !is_own {
            if let Some(sealer) = sealer {
                sealer.lose(1);
            }
        }
        if is_long {
            Self::close(&mut waiting);
        }
        if is_full {
            self.flush(&mut waiting);
        } else {
            self.call(&mut waiting, self.buffering.flush_ms);
        }
        is_taken
    }

    /// Seals what isn't yet.
    fn close(waiting: &mut Waiting) {
        let Waiting { batch, sealer, is_stream, is_ending, .. } = waiting;
        let Some(sealer) = sealer else { return };
        let closing = Closing { in_pieces: *is_stream, is_end: *is_ending };
        batch.seal(|lines| sealer.close(lines, closing));
    }

    /// Has the lines written in so many milliseconds; 0: at the end of this turn of the event loop.
    fn call(&self, waiting: &mut Waiting, ms: u64) {
        let event = &raw mut waiting.event;
        // SAFETY: the event lies in a box that the configuration keeps; `Drop` takes it out of
        // nginx's queues. The log is that of the cycle.
        unsafe {
            (*event).data = std::ptr::from_ref(self).cast_mut().cast();
            (*event).handler = Some(on_event);
            (*event).log = ngx::ffi::ngx_cycle.as_ref().map_or(null_mut(), |cycle| cycle.log);
            // An old worker that waits for nothing else may go; it flushes when it does.
            (*event).set_cancelable(1);
            match ms {
                0 => ngx_post_event(event, &raw mut ngx_posted_events),
                ms if (*event).timer_set() == 0 => {
                    ngx_add_timer(event, usize::try_from(ms).unwrap_or(usize::MAX));
                }
                _ => {}
            }
        }
    }

    /// Looks whether it is another file by now.
    fn look_at_file(&self, waiting: &mut Waiting) -> i32 {
        // SAFETY: nginx keeps the entry as long as the cycle; it changes the descriptor when it
        // reopens the file.
        let fd = unsafe { (*self.file).fd };
        // If nginx could not open the new file, it stays with the old one, and so does a torn line.
        if std::mem::replace(&mut waiting.fd, fd) != fd {
            waiting.batch.reopened();
            // Who else writes to it, as nginx opened it, would be told to wait, and doesn't know how to.
            waiting.is_stream = !self.is_shared && never_wait(fd);
            waiting.torn = None;
            waiting.torn_line.forget();
            if let (Some(sealer), Some(file)) = (&mut waiting.sealer, identity(fd)) {
                sealer.opened(file.device, file.number);
            }
        }
        fd
    }

    fn flush(&self, waiting: &mut Waiting) {
        if waiting.is_over {
            return;
        }
        let fd = self.look_at_file(waiting);
        if waiting.batch.has_open()
            || waiting.sealer.as_ref().is_some_and(|sealer| sealer.owes_seal())
        {
            Self::close(waiting);
        }
        while !waiting.batch.is_empty() {
            if !self.end_torn_line(waiting, fd) {
                return;
            }
            if waiting.batch.is_empty() {
                break;
            }
            // A sealed log has lines that are whole or not there.
            let is_plain = waiting.sealer.is_none() && !waiting.is_stream;
            if is_plain && waiting.torn_line.is_of_another(fd) {
                if waiting.batch.is_full() {
                    self.complain(waiting, None);
                }
                self.call(waiting, RETRY_TORN_MS);
                return;
            }
            let bytes = match waiting.is_stream {
                true => waiting.batch.piece(PIECE),
                false => waiting.batch.as_bytes(),
            };
            let wanted = bytes.len();
            // SAFETY: so many bytes are there.
            let written = unsafe { write(fd, bytes.as_ptr().cast::<c_void>(), wanted) };
            let error = std::io::Error::last_os_error();
            if written < 0 && error.kind() == ErrorKind::Interrupted {
                continue;
            }
            let done = usize::try_from(written).unwrap_or(0);
            Self::written(waiting, fd, done, wanted);
            waiting.torn_line.set(fd, is_plain && waiting.batch.is_torn());
            if done == wanted {
                continue;
            }
            let is_unread = written < 0 && error.kind() == ErrorKind::WouldBlock;
            // A reader is never at the end of what was just written: it is no trouble while there is room.
            if !is_unread || waiting.batch.is_full() {
                self.complain(waiting, (written < 0).then_some(error));
            }
            // Also if no further line comes, they are written as soon as they can be.
            let calm = waiting.torn_line.retry_ms();
            self.call(waiting, if waiting.is_stream { RETRY_STREAM_MS } else { calm });
            return;
        }
        let dropped = waiting.batch.take_dropped();
        tally::count_lines(0, dropped);
        if let Some(lost) = waiting.trouble.ended(dropped) {
            let Self { title: Title { module, log, .. }, path, .. } = self;
            cycle_error(format_args!(
                "{module}: the {log} \"{path}\" is written again; {lost} lines were lost"
            ));
        }
    }

    /// Takes note of what was written, of what was to be.
    fn written(waiting: &mut Waiting, fd: i32, done: usize, wanted: usize) {
        let Waiting { batch, sealer, is_stream, torn, .. } = waiting;
        let Written { lines, seals } = batch.written(done);
        tally::count_lines(lines, 0);
        let Some(sealer) = sealer else { return };
        if done > 0 && done < wanted {
            sealer.torn();
        }
        if seals > 0 {
            sealer.written(seals);
        }
        // The rest of a line behind lines of others is nothing that anybody could read.
        if batch.is_torn() && !*is_stream {
            let lacks_line_feed = batch.lacks_line_feed();
            batch.reopened();
            *torn = identity(fd).map(|file| Torn { at: file.len, lacks_line_feed });
        }
    }

    /// A line that was written in part, and is written anew, begins in a line of its own, unless others have
    /// written behind it; of one that lacks but its line feed, that is all. `false`: not even that is possible.
    fn end_torn_line(&self, waiting: &mut Waiting, fd: i32) -> bool {
        let Some(Torn { at, lacks_line_feed }) = waiting.torn else { return true };
        if identity(fd).is_some_and(|file| file.len == at) {
            // SAFETY: one byte is there.
            if unsafe { write(fd, b"\n".as_ptr().cast::<c_void>(), 1) } != 1 {
                self.complain(waiting, Some(std::io::Error::last_os_error()));
                self.call(waiting, RETRY_MS);
                return false;
            }
            if lacks_line_feed {
                let line = waiting.batch.first_line();
                Self::written(waiting, fd, line, line);
            }
        }
        waiting.torn = None;
        true
    }

    /// Says that not all was written: because of `error`, or because the disk is full.
    fn complain(&self, waiting: &mut Waiting, error: Option<std::io::Error>) {
        let dropped = waiting.batch.take_dropped();
        tally::count_lines(0, dropped);
        let Some(lost) = waiting.trouble.failed(cached_wall_ms(), dropped) else { return };
        self.title.tell_failure(&self.path, error, lost);
    }

    /// The process is about to end, or to close the file: what can't be written now, never will be.
    fn end(&self, waiting: &mut Waiting) {
        let begun = Instant::now();
        if !waiting.is_over {
            self.look_at_file(waiting);
            waiting.is_ending = true;
            Self::close(waiting);
        }
        self.flush(waiting);
        while !waiting.batch.is_empty()
            && (waiting.is_stream || waiting.torn_line.is_of_another(waiting.fd))
            && begun.elapsed() < READER_PATIENCE
        {
            std::thread::sleep(READER_PAUSE);
            self.flush(waiting);
        }
        self.give_up(waiting);
        // Who has the descriptor next is somebody else.
        waiting.is_over = true;
    }

    fn give_up(&self, waiting: &mut Waiting) {
        let lost = waiting.batch.abandon();
        tally::count_lines(0, lost);
        let all = waiting.trouble.ended(lost).unwrap_or(lost);
        if all > 0 {
            let Self { title: Title { module, log, .. }, path, .. } = self;
            cycle_error(format_args!(
                "{module}: {all} lines of the {log} \"{path}\" were lost, as it could not be written"
            ));
        }
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // Its file is closed by now.
        self.give_up(&mut self.waiting.lock());
        let waiting = self.waiting.get_mut();
        let event = &raw mut waiting.event;
        // SAFETY: the event is ours; its flags say in which of nginx's queues it is.
        unsafe {
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
            if (*event).posted() != 0 {
                ngx_delete_posted_event(event);
            }
        }
    }
}

unsafe extern "C" fn on_event(event: *mut ngx_event_t) {
    guard((), || {
        // SAFETY: `append` put the log file here.
        let log = unsafe { &*(*event).data.cast::<LogFile>() };
        log.flush(&mut log.waiting.lock());
    });
}

unsafe extern "C" fn on_reopen(file: *mut ngx_open_file_t, _log: *mut ngx_log_t) {
    guard((), || {
        // SAFETY: `open` put the log file here.
        if let Some(log) = unsafe { (*file).data.cast::<LogFile>().as_ref() } {
            // nginx calls this just before it opens the new file.
            log.flush(&mut log.waiting.lock());
        }
    });
}

/// Writes what waits, in every log file of a configuration, or gives it up.
///
/// # Safety
///
/// `cycle` is that of a configuration which was in use until now.
pub(crate) unsafe fn end_all(cycle: *mut ngx_cycle_t) {
    // SAFETY: by the contract of this function; an entry with our handler holds a log file.
    unsafe {
        open_files::each(cycle, |file| {
            if (*file).flush.is_some_and(|f| f as usize == on_reopen as *const () as usize) {
                if let Some(log) = (*file).data.cast::<LogFile>().as_ref() {
                    log.end(&mut log.waiting.lock());
                }
            }
        });
    }
}
