//! `wasi:io/streams`: the bytes of connections and of the standard streams.

use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{InputStream as _, OutputStream as _, StreamError, StreamResult};

use super::bindings::wasi::io::streams;
use super::readiness::Key;
use super::{Pollable, View};
use crate::stdio::{OutputHandle, Stdin};

/// The most bytes of a write that waits until they are written.
const MOST_BLOCKING: usize = 4096;

/// An input of the component.
pub enum InputStream {
    Tcp(Key),
    Stdin(Stdin),
}

/// An output of the component.
pub enum OutputStream {
    Tcp(Key),
    Stdout(OutputHandle),
    Stderr(OutputHandle),
}

impl InputStream {
    fn pollable(&self) -> Pollable {
        match self {
            InputStream::Tcp(key) => Pollable::Input(*key),
            InputStream::Stdin(_) => Pollable::Stdin,
        }
    }
}

impl OutputStream {
    fn pollable(&self) -> Pollable {
        match self {
            OutputStream::Tcp(key) => Pollable::Output(*key),
            OutputStream::Stdout(_) => Pollable::Stdout,
            OutputStream::Stderr(_) => Pollable::Stderr,
        }
    }
}

/// The connection of a stream is there as long as the stream: a socket cannot be dropped before its streams.
fn gone() -> StreamError {
    StreamError::trap("the connection of this stream is gone")
}

/// A mistake of the component in a write that waits.
fn too_long() -> StreamError {
    StreamError::Trap(wasmtime::format_err!("a write that waits takes at most {MOST_BLOCKING} bytes"))
}

impl View<'_> {
    fn read_from(&mut self, stream: &Resource<InputStream>, most: u64) -> StreamResult<Vec<u8>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        match self.table.get_mut(stream)? {
            InputStream::Tcp(key) => {
                let connection = self.net.readiness.connection(*key).ok_or_else(gone)?;
                connection.read(most, &mut self.net.room)
            }
            InputStream::Stdin(stdin) => Ok(stdin.read(most)?.into()),
        }
    }

    /// Waits until there is something to read: at least one byte, an error, or the end.
    fn read_later(&mut self, stream: &Resource<InputStream>, most: u64) -> StreamResult<Vec<u8>> {
        loop {
            let pollable = self.table.get(stream)?.pollable();
            self.wait(&[pollable]).map_err(StreamError::Trap)?;
            let bytes = self.read_from(stream, most)?;
            if !bytes.is_empty() || most == 0 {
                return Ok(bytes);
            }
        }
    }

    fn permitted(&mut self, stream: &Resource<OutputStream>) -> StreamResult<usize> {
        match self.table.get_mut(stream)? {
            OutputStream::Tcp(key) => self.net.readiness.connection(*key).ok_or_else(gone)?.check_write(),
            OutputStream::Stdout(output) | OutputStream::Stderr(output) => output.check_write(),
        }
    }

    /// Waits until something may be written, which is also when everything before it is written.
    fn permitted_later(&mut self, stream: &Resource<OutputStream>) -> StreamResult<usize> {
        loop {
            let pollable = self.table.get(stream)?.pollable();
            self.wait(&[pollable]).map_err(StreamError::Trap)?;
            match self.permitted(stream)? {
                0 => {}
                permitted => return Ok(permitted),
            }
        }
    }

    fn write_to(&mut self, stream: &Resource<OutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        match self.table.get_mut(stream)? {
            OutputStream::Tcp(key) => self.net.readiness.connection(*key).ok_or_else(gone)?.write(bytes),
            OutputStream::Stdout(output) | OutputStream::Stderr(output) => output.write(bytes.into()),
        }
    }

    fn flush_it(&mut self, stream: &Resource<OutputStream>) -> StreamResult<()> {
        match self.table.get_mut(stream)? {
            OutputStream::Tcp(key) => self.net.readiness.connection(*key).ok_or_else(gone)?.flush(),
            OutputStream::Stdout(output) | OutputStream::Stderr(output) => output.flush(),
        }
    }

    fn write_all(&mut self, stream: &Resource<OutputStream>, mut bytes: Vec<u8>) -> StreamResult<()> {
        loop {
            let permitted = self.permitted_later(stream)?;
            let rest = bytes.split_off(bytes.len().min(permitted));
            self.write_to(stream, bytes)?;
            if rest.is_empty() {
                break;
            }
            bytes = rest;
        }
        // All bytes were taken; that the stream is closed behind them is for the next call to find.
        let flushed = self.flush_it(stream).and_then(|()| self.permitted_later(stream));
        match flushed {
            Ok(_) | Err(StreamError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl streams::Host for View<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> Result<streams::StreamError> {
        match error {
            StreamError::Closed => Ok(streams::StreamError::Closed),
            StreamError::LastOperationFailed(error) => {
                Ok(streams::StreamError::LastOperationFailed(self.table.push(error)?))
            }
            StreamError::Trap(error) => Err(error),
        }
    }
}

impl streams::HostInputStream for View<'_> {
    fn read(&mut self, stream: Resource<InputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.read_from(&stream, len)
    }

    fn blocking_read(&mut self, stream: Resource<InputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.read_later(&stream, len)
    }

    fn skip(&mut self, stream: Resource<InputStream>, len: u64) -> StreamResult<u64> {
        Ok(self.read_from(&stream, len)?.len() as u64)
    }

    fn blocking_skip(&mut self, stream: Resource<InputStream>, len: u64) -> StreamResult<u64> {
        Ok(self.read_later(&stream, len)?.len() as u64)
    }

    fn subscribe(&mut self, stream: Resource<InputStream>) -> Result<Resource<Pollable>> {
        let pollable = self.table.get(&stream)?.pollable();
        Ok(self.table.push_child(pollable, &stream)?)
    }

    fn drop(&mut self, stream: Resource<InputStream>) -> Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

impl streams::HostOutputStream for View<'_> {
    fn check_write(&mut self, stream: Resource<OutputStream>) -> StreamResult<u64> {
        Ok(self.permitted(&stream)? as u64)
    }

    fn write(&mut self, stream: Resource<OutputStream>, contents: Vec<u8>) -> StreamResult<()> {
        self.write_to(&stream, contents)
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<OutputStream>, contents: Vec<u8>) -> StreamResult<()> {
        if contents.len() > MOST_BLOCKING {
            return Err(too_long());
        }
        self.write_all(&stream, contents)
    }

    fn flush(&mut self, stream: Resource<OutputStream>) -> StreamResult<()> {
        self.flush_it(&stream)
    }

    fn blocking_flush(&mut self, stream: Resource<OutputStream>) -> StreamResult<()> {
        self.flush_it(&stream)?;
        self.permitted_later(&stream).map(drop)
    }

    fn subscribe(&mut self, stream: Resource<OutputStream>) -> Result<Resource<Pollable>> {
        let pollable = self.table.get(&stream)?.pollable();
        Ok(self.table.push_child(pollable, &stream)?)
    }

    fn write_zeroes(&mut self, stream: Resource<OutputStream>, len: u64) -> StreamResult<()> {
        let permitted = self.permitted(&stream)?;
        match usize::try_from(len) {
            Ok(length) if length <= permitted => self.write_to(&stream, vec![0; length]),
            _ => Err(StreamError::trap("more zeroes were written than was permitted")),
        }
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Resource<OutputStream>, len: u64) -> StreamResult<()> {
        match usize::try_from(len) {
            Ok(length @ ..=MOST_BLOCKING) => self.write_all(&stream, vec![0; length]),
            _ => Err(too_long()),
        }
    }

    fn splice(&mut self, stream: Resource<OutputStream>, source: Resource<InputStream>, len: u64) -> StreamResult<u64> {
        let most = len.min(self.permitted(&stream)? as u64);
        let bytes = self.read_from(&source, most)?;
        let length = bytes.len() as u64;
        self.write_to(&stream, bytes)?;
        Ok(length)
    }

    fn blocking_splice(
        &mut self,
        stream: Resource<OutputStream>,
        source: Resource<InputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        let most = len.min(self.permitted_later(&stream)? as u64);
        let bytes = self.read_later(&source, most)?;
        let length = bytes.len() as u64;
        self.write_all(&stream, bytes)?;
        Ok(length)
    }

    /// What is unsent stays with the connection, which sends it: dropping a stream never waits.
    fn drop(&mut self, stream: Resource<OutputStream>) -> Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}
