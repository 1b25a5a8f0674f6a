//! A log file: opened, reopened and closed by nginx, written to by us.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::ptr::null_mut;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ngx::ffi::{
    fcntl, ngx_add_timer, ngx_conf_open_file, ngx_cycle_t, ngx_del_timer, ngx_delete_posted_event,
    ngx_event_t, ngx_log_t, ngx_open_file_t, ngx_post_event, ngx_posted_events, write, F_GETFL,
    F_SETFL, O_NONBLOCK,
};
use parking_lot::Mutex;

use super::batch::Batch;
use super::trouble::Trouble;
use crate::clock::cached_wall_ms;
use crate::conf::context::{keep, ConfContext, ConfError};
use crate::guard::guard;
use crate::log::cycle_error;
use crate::tally;

/// Milliseconds until it is tried again to write what could not be written.
const RETRY_MS: u64 = 1000;
/// The same where it is for a reader to take what was written before.
const RETRY_STREAM_MS: u64 = 20;
/// How long the end of a process waits for such a reader.
const READER_PATIENCE: Duration = Duration::from_secs(1);
const READER_PAUSE: Duration = Duration::from_millis(5);
/// So many bytes get into a pipe as a whole, or not at all, whoever else writes to it: `PIPE_BUF`, pipe(7).
const PIECE: usize = 4096;

/// When lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffering {
    /// Bytes that may wait.
    pub size: usize,
    /// Milliseconds that a line may wait; 0: until the end of this turn of the event loop.
    pub flush_ms: u64,
}

/// What a log is called in messages.
#[derive(Clone, Copy, Debug)]
pub struct Title {
    /// Its module.
    pub module: &'static str,
    /// Such as `access log`.
    pub log: &'static str,
    /// Which asks for it.
    pub directive: &'static str,
}

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
            let known = files_of(cycle);
            let file = ngx_conf_open_file(cycle, &raw mut name);
            (file, known == files_of(cycle))
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
        let waiting = Waiting { batch, event, trouble, fd: -1, is_stream: false, is_over: false };
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

    /// Adds a line, which `line` appends to the bytes it is given.
    pub fn append(&self, line: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.waiting.lock();
        if waiting.batch.is_full() {
            // Maybe it can be written again.
            self.flush(&mut waiting);
        }
        if waiting.batch.push(line) {
            self.flush(&mut waiting);
        } else {
            self.call(&mut waiting, self.buffering.flush_ms);
        }
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

    fn flush(&self, waiting: &mut Waiting) {
        self.write(waiting);
        tally::lines_counted();
    }

    fn write(&self, waiting: &mut Waiting) {
        if waiting.is_over {
            return;
        }
        // SAFETY: nginx keeps the entry as long as the cycle; it changes the descriptor when it
        // reopens the file.
        let fd = unsafe { (*self.file).fd };
        // If nginx could not open the new file, it stays with the old one, and so does a torn line.
        if std::mem::replace(&mut waiting.fd, fd) != fd {
            waiting.batch.reopened();
            // Who else writes to it, as nginx opened it, would be told to wait, and doesn't know how to.
            waiting.is_stream = !self.is_shared && never_wait(fd);
        }
        while !waiting.batch.is_empty() {
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
            tally::LINES_WRITTEN.add(waiting.batch.written(done));
            if done == wanted {
                continue;
            }
            let is_unread = written < 0 && error.kind() == ErrorKind::WouldBlock;
            // A reader is never at the end of what was just written: it is no trouble while there is room.
            if !is_unread || waiting.batch.is_full() {
                self.complain(waiting, (written < 0).then_some(error));
            }
            // Also if no further line comes, they are written as soon as they can be.
            self.call(waiting, if waiting.is_stream { RETRY_STREAM_MS } else { RETRY_MS });
            return;
        }
        let dropped = waiting.batch.take_dropped();
        tally::LINES_LOST.add(dropped);
        if let Some(lost) = waiting.trouble.ended(dropped) {
            let Self { title: Title { module, log, .. }, path, .. } = self;
            cycle_error(format_args!(
                "{module}: the {log} \"{path}\" is written again; {lost} lines were lost"
            ));
        }
    }

    /// Says that not all was written: because of `error`, or because the disk is full.
    fn complain(&self, waiting: &mut Waiting, error: Option<std::io::Error>) {
        let dropped = waiting.batch.take_dropped();
        tally::LINES_LOST.add(dropped);
        let Some(lost) = waiting.trouble.failed(cached_wall_ms(), dropped) else { return };
        let Self { title: Title { module, log, .. }, path, .. } = self;
        let so_far = format_args!(
            "lines wait for as long as the buffer has room; {lost} lines were lost so far"
        );
        match error {
            Some(error) if error.kind() == ErrorKind::WouldBlock => cycle_error(format_args!(
                "{module}: cannot write the {log} \"{path}\": whoever reads it takes too little; \
                 {so_far}"
            )),
            Some(error) => cycle_error(format_args!(
                "{module}: cannot write the {log} \"{path}\": {error}; {so_far}"
            )),
            None => cycle_error(format_args!(
                "{module}: the {log} \"{path}\" was written in part, is the disk full? {so_far}"
            )),
        }
    }

    /// The process is about to end, or to close the file: what can't be written now, never will be.
    fn end(&self, waiting: &mut Waiting) {
        let begun = Instant::now();
        self.flush(waiting);
        while waiting.is_stream && !waiting.batch.is_empty() && begun.elapsed() < READER_PATIENCE {
            std::thread::sleep(READER_PAUSE);
            self.flush(waiting);
        }
        self.give_up(waiting);
        // Who has the descriptor next is somebody else.
        waiting.is_over = true;
    }

    fn give_up(&self, waiting: &mut Waiting) {
        let lost = waiting.batch.abandon();
        tally::LINES_LOST.add(lost);
        let all = waiting.trouble.ended(lost).unwrap_or(lost);
        if all > 0 {
            let Self { title: Title { module, log, .. }, path, .. } = self;
            cycle_error(format_args!(
                "{module}: {all} lines of the {log} \"{path}\" were lost, as it could not be written"
            ));
        }
    }
}

/// Opens a named pipe for both directions, which waits for nobody; `None`: it is something else.
fn hold_open(path: &str) -> Option<File> {
    // The pipe behind `/dev/stdout` has no name, and others who write to it.
    let path = std::fs::canonicalize(path).ok()?;
    let is_pipe = std::fs::metadata(&path).is_ok_and(|found| found.file_type().is_fifo());
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(i32::try_from(O_NONBLOCK).unwrap_or(0));
    // nginx says it, if it can't be opened.
    is_pipe.then(|| options.open(path).ok()).flatten()
}

/// Has writes to a pipe or a terminal fail that would have to wait for a reader; `false`: it is something
/// else, or can't be done. nginx has opened it for itself (also where it is called `/dev/stdout`), so
/// that nobody else notices.
fn never_wait(fd: i32) -> bool {
    // SAFETY: nginx's descriptor, which is open, and is not closed by this.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let is_stream = file.metadata().is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_fifo() || kind.is_char_device()
    });
    let [get, set, flag] =
        [F_GETFL, F_SETFL, O_NONBLOCK].map(|number| i32::try_from(number).unwrap_or(-1));
    // SAFETY: reads and writes flags of the descriptor.
    is_stream
        && unsafe {
            let flags = fcntl(fd, get);
            flags >= 0 && fcntl(fd, set, flags | flag) == 0
        }
}

/// How many files a configuration has opened.
///
/// # Safety
///
/// `cycle` is valid.
unsafe fn files_of(cycle: *const ngx_cycle_t) -> usize {
    let mut count: usize = 0;
    // SAFETY: by the contract of this function; nginx keeps its files in a list.
    unsafe {
        let mut part = &raw const (*cycle).open_files.part;
        while let Some(files) = part.as_ref() {
            count = count.saturating_add(files.nelts);
            part = files.next;
        }
    }
    count
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
    // SAFETY: the cycle's list of files; an entry with our handler holds a log file.
    unsafe {
        let mut part = &raw const (*cycle).open_files.part;
        while let Some(files) = part.as_ref() {
            for index in 0..files.nelts {
                let file = files.elts.cast::<ngx_open_file_t>().add(index);
                if (*file).flush.is_some_and(|f| f as usize == on_reopen as *const () as usize) {
                    if let Some(log) = (*file).data.cast::<LogFile>().as_ref() {
                        log.end(&mut log.waiting.lock());
                    }
                }
            }
            part = files.next;
        }
    }
}
