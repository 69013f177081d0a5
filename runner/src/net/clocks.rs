//! `wasi:clocks/monotonic-clock`: a clock that begins with the component, and alarms of it.

use std::time::{Duration, Instant};

use wasmtime::Result;
use wasmtime::component::Resource;

use super::bindings::wasi::clocks::monotonic_clock;
use super::{Pollable, View};

impl monotonic_clock::Host for View<'_> {
    fn now(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.net.started.elapsed().as_nanos())?)
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<Pollable>> {
        let time = self.net.started.checked_add(Duration::from_nanos(when));
        Ok(self.table.push(Pollable::Time(time))?)
    }

    fn subscribe_duration(&mut self, when: u64) -> Result<Resource<Pollable>> {
        let time = Instant::now().checked_add(Duration::from_nanos(when));
        Ok(self.table.push(Pollable::Time(time))?)
    }
}
