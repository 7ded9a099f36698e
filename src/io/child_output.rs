//! A child's output on its way through a redactor.
//!
//! Two threads a stream. One reads, redacts and writes, and hands the bytes to nobody on their way: at full speed waking a
//! thread for each chunk costs more than redacting it. The other sleeps unless nothing comes while something is waited for:
//! a read cannot be told to give up after a while.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::rules::redaction::Redactor;

/// Bytes that are read from the child at once; what a pipe holds on Linux.
const CHUNK: usize = 64 * 1024;

/// How long a stream rests before a short beginning of a possible secret is shown: less than a person notices.
const PAUSE: Duration = Duration::from_millis(20);

/// How long output is waited for after the child has ended, while a grandchild keeps the stream open.
const LINGER: Duration = Duration::from_millis(250);

/// One stream that is being copied.
pub(super) struct Copying {
    news: Sender<News>,
    /// Told without the stream's lock, which a busy stream hardly ever leaves free.
    given_up: Arc<AtomicBool>,
    done: oneshot::Receiver<()>,
}

impl Copying {
    /// Begins to copy what the child will write into the answered end of a pipe.
    ///
    /// # Errors
    /// The pipe or a thread could not be made.
    pub(super) fn begin(redactor: Redactor, to: Box<dyn Write + Send>) -> io::Result<(Self, PipeWriter)> {
        let (from, into) = io::pipe()?;
        let stream = Arc::new(Mutex::new(Stream { redactor, to, out: Vec::new(), reads: 0, open: true }));
        let (news, told) = mpsc::channel();
        let (tell_done, done) = oneshot::channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let (copied, telling, until) = (Arc::clone(&stream), news.clone(), Arc::clone(&given_up));
        thread::Builder::new().spawn(move || {
            copy(from, &copied, &telling, &until);
            let _ = telling.send(News::Ended);
        })?;
        thread::Builder::new().spawn(move || {
            attend(&stream, &told);
            // Nobody waits any more after a child that could not be waited for.
            let _ = tell_done.send(());
        })?;
        Ok((Self { news, given_up, done }, into))
    }

    /// The child has ended: output is waited for until none comes for [`LINGER`].
    pub(super) fn child_ended(&self) {
        // Nobody listens when the stream has ended already.
        let _ = self.news.send(News::ChildEnded);
    }

    /// No more is waited for: what the pipe holds is still written, and nothing that comes after it.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        let _ = self.news.send(News::GivenUp);
    }

    /// Waits until all that came is written; after [`Self::child_ended`]. May be called again until it has answered.
    pub(super) async fn end(&mut self) {
        let _ = (&mut self.done).await;
    }
}

/// What the attending thread is told.
enum News {
    /// A pause would now let bytes through.
    Waits,
    ChildEnded,
    GivenUp,
    /// Nothing more is copied.
    Ended,
}

struct Stream {
    redactor: Redactor,
    to: Box<dyn Write + Send>,
    /// What may pass and is not written yet.
    out: Vec<u8>,
    /// So many reads have been redacted and written.
    reads: u64,
    /// No, when the stream has ended, was given up, or nobody reads what is written.
    open: bool,
}

impl Stream {
    fn take(&mut self, bytes: &[u8]) {
        self.reads += 1;
        self.redactor.push(bytes, &mut self.out);
        self.write();
    }

    fn pause(&mut self) {
        self.redactor.pause(&mut self.out);
        self.write();
    }

    /// Ends in the middle of what comes.
    fn cut(&mut self) {
        self.redactor.cut(&mut self.out);
        self.write();
        self.open = false;
    }

    fn finish(&mut self) {
        self.redactor.finish(&mut self.out);
        self.write();
        self.open = false;
    }

    fn write(&mut self) {
        let failed = !self.out.is_empty() && self.to.write_all(&self.out).and_then(|()| self.to.flush()).is_err();
        self.out.clear();
        self.open &= !failed;
    }
}

/// A thread that panicked has left nothing half done that matters here.
fn locked(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies until the end, or until the stream is given up. Closes `from` when nobody reads what is written, so that the
/// child learns of it.
fn copy(mut from: PipeReader, stream: &Mutex<Stream>, news: &Sender<News>, given_up: &AtomicBool) {
    let mut chunk = vec![0; CHUNK];
    loop {
        // One read takes all that a pipe holds: with it goes what the child wrote before the stream was given up.
        let last = given_up.load(Ordering::Acquire);
        let count = match from.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            count => count.unwrap_or(0),
        };
        let mut stream = locked(stream);
        if !stream.open {
            return;
        }
        match chunk.get(..count) {
            Some(bytes) if count > 0 => stream.take(bytes),
            _ => return stream.finish(),
        }
        if !stream.open {
            return;
        }
        if last {
            return stream.cut();
        }
        if stream.redactor.waits() {
            let _ = news.send(News::Waits);
        }
    }
}

/// Looks after a stream that rests: lets a short beginning of a secret through, and ends the stream when the child has
/// ended. While a write is held up by its reader the stream is locked, which is no rest.
fn attend(stream: &Mutex<Stream>, news: &Receiver<News>) {
    let mut longest_rest = Duration::MAX;
    loop {
        let (reads, waits) = {
            let stream = locked(stream);
            (stream.reads, stream.redactor.waits())
        };
        match news.recv_timeout(if waits { PAUSE } else { longest_rest }) {
            Ok(News::Waits) => {}
            Ok(News::ChildEnded) => longest_rest = LINGER,
            Ok(News::GivenUp) => longest_rest = PAUSE,
            Ok(News::Ended) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let mut stream = locked(stream);
                match (stream.reads == reads, waits) {
                    (true, true) => stream.pause(),
                    (true, false) => return stream.finish(),
                    (false, _) => {}
                }
            }
        }
    }
}
