//! `wasi:cli/stdin`, `stdout` and `stderr`: the standard streams, which the component shares with the sandbox (`stdio.rs`).

use wasmtime::Result;
use wasmtime::component::Resource;

use super::bindings::wasi::cli::{stderr, stdin, stdout};
use super::{InputStream, OutputStream, View};

impl stdin::Host for View<'_> {
    fn get_stdin(&mut self) -> Result<Resource<InputStream>> {
        Ok(self.table.push(InputStream::Stdin(self.net.stdin.clone()))?)
    }
}

impl stdout::Host for View<'_> {
    fn get_stdout(&mut self) -> Result<Resource<OutputStream>> {
        Ok(self.table.push(OutputStream::Stdout(self.net.stdout.clone()))?)
    }
}

impl stderr::Host for View<'_> {
    fn get_stderr(&mut self) -> Result<Resource<OutputStream>> {
        Ok(self.table.push(OutputStream::Stderr(self.net.stderr.clone()))?)
    }
}
