//! The calls of `wasi:io/streams`.

use wasmtime::component::Resource;

use super::lines::{Fault, Output};
use super::{Choices, World};
use crate::net::bindings::wasi::io::streams::{HostInputStream, HostOutputStream};
use crate::net::{InputStream, OutputStream};

/// The most bytes of a write that waits.
const MOST_BLOCKING: usize = 4096;

pub(super) fn own<T: 'static>(number: u32) -> Resource<T> {
    Resource::new_own(number)
}

pub(super) struct Stream {
    pub(super) this: u32,
    pub(super) socket: u32,
    pub(super) line: usize,
    pub(super) is_input: bool,
    /// Its pollables.
    pub(super) children: usize,
}

impl World {
    pub(super) fn call_input(&mut self, at: usize, choice: u8, length: usize) {
        let Stream { this, line, .. } = self.streams[at];
        let again = || own::<InputStream>(this);
        let waits = length > 0 && self.lines[line].will_be_readable();
        let mut view = self.view();
        let result = match choice % 16 {
            0..=7 => HostInputStream::read(&mut view, again(), length as u64),
            8..=11 if waits => view.blocking_read(again(), length as u64),
            kind => {
                let skipped = match waits && kind == 12 {
                    true => view.blocking_skip(again(), length as u64),
                    false => view.skip(again(), length as u64),
                };
                skipped.map(|skipped| self.lines[line].to_guest.iter().copied().take(skipped as usize).collect())
            }
        };
        let result = Fault::of(result);
        let has_waited = waits && matches!(choice % 16, 8..=12);
        assert!(!has_waited || result.as_ref().map_or(true, |bytes| !bytes.is_empty()), "it has waited for nothing");
        self.lines[line].has_read(length, result);
    }

    pub(super) fn check_write(&mut self, line: usize, this: u32) -> Option<usize> {
        let checked = HostOutputStream::check_write(&mut self.view(), own(this));
        let checked = Fault::of(checked).map(|permit| Some(permit as usize));
        self.lines[line].has_checked(checked);
        checked.ok().flatten()
    }

    pub(super) fn call_output(&mut self, at: usize, choice: u8, length: usize) {
        let Stream { this, line, .. } = self.streams[at];
        let again = || own::<OutputStream>(this);
        let state = &mut self.lines[line];
        let bytes = state.bytes(length);
        let is_short = length <= MOST_BLOCKING;
        let waits = state.will_be_writable() && !(state.output == Output::Open && state.resized);
        match choice % 16 {
            0..=3 => _ = self.check_write(line, this),
            4 => {
                let flushed = Fault::of(HostOutputStream::flush(&mut self.view(), again()));
                self.lines[line].has_checked(flushed.map(|()| None));
            }
            5 if waits => {
                let flushed = Fault::of(self.view().blocking_flush(again()));
                self.has_waited(line, &[], flushed);
            }
            6..=8 if waits || !is_short => {
                let written = Fault::of(self.view().blocking_write_and_flush(again(), bytes.clone()));
                match is_short {
                    true => self.has_waited(line, &bytes, written),
                    false => assert_eq!(written, Err(Fault::Trap)),
                }
            }
            9 => {
                let written = Fault::of(self.view().write_zeroes(again(), 1 << 20));
                match (written, self.lines[line].output) {
                    (Err(Fault::Trap), Output::Open | Output::Ending) => {}
                    // The call has asked for a permit, too.
                    (written, _) => self.lines[line].has_checked(written.map(|()| None)),
                }
                self.check_write(line, this);
            }
            10 => {
                let written = Fault::of(HostOutputStream::write(&mut self.view(), again(), bytes.clone()));
                self.lines[line].has_written(&bytes, written);
            }
            _ => {
                if self.check_write(line, this).is_some_and(|permit| permit >= length) {
                    let written = Fault::of(HostOutputStream::write(&mut self.view(), again(), bytes.clone()));
                    self.lines[line].has_written(&bytes, written);
                }
            }
        }
    }

    /// Compares the result of writing `bytes`, and of waiting until they are sent.
    fn has_waited(&mut self, line: usize, bytes: &[u8], result: Result<(), Fault>) {
        let line = &mut self.lines[line];
        // The call asks for its own permits, and leaves one behind.
        line.permit = bytes.len();
        match bytes.is_empty() {
            true => line.has_checked(result.map(|()| None)),
            false => line.has_written(bytes, result),
        }
        line.permit = crate::net::connection::MOST_BYTES;
    }

    pub(super) fn splice(&mut self, at: usize, choices: &mut Choices<'_>) {
        let inputs: Vec<usize> = (0..self.streams.len()).filter(|&at| self.streams[at].is_input).collect();
        let Some(source) = choices.of(inputs.len()) else { return };
        let (input, source) = (self.streams[inputs[source]].this, self.streams[inputs[source]].line);
        let Stream { this, line, .. } = self.streams[at];
        let length = choices.length();
        let Some(permit) = self.check_write(line, this) else { return };
        let to = &self.lines[line];
        if to.output == Output::Open && !to.broken && !to.peer_closed {
            let most = length.min(permit);
            let spliced = Fault::of(self.view().splice(own(this), own(input), length as u64));
            let moved =
                spliced.map(|length| self.lines[source].to_guest.iter().copied().take(length as usize).collect());
            self.lines[source].has_read(most, moved.clone());
            self.lines[line].has_written(&moved.unwrap_or_default(), Ok(()));
        }
    }

    pub(super) fn drop_stream(&mut self, at: usize) {
        let Stream { this, is_input, children, socket, .. } = self.streams[at];
        let mut view = self.view();
        let dropped = match is_input {
            true => HostInputStream::drop(&mut view, own(this)),
            false => HostOutputStream::drop(&mut view, own(this)),
        };
        assert_eq!(dropped.is_ok(), children == 0);
        if children == 0 {
            self.streams.swap_remove(at);
            let socket = self.sockets.iter_mut().find(|other| other.this == socket).expect("its socket stays");
            socket.children -= 1;
        }
    }
}
