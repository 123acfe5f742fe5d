//! Points between the steps of an output at which tests make the file system fail or the process exit.

#[cfg(not(test))]
pub(super) use nowhere::*;

#[cfg(test)]
pub(super) use in_tests::*;

#[cfg(not(test))]
mod nowhere {
    /// Called before each step.
    #[inline]
    pub(in crate::storage) fn point() -> std::io::Result<()> {
        Ok(())
    }

    /// Returns `true` if the file system can exchange two paths.
    #[inline]
    pub(in crate::storage) fn can_exchange() -> bool {
        true
    }
}

#[cfg(test)]
mod in_tests {
    use std::cell::Cell;
    use std::io;

    /// Effect of reaching a point.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::storage) enum Fault {
        None,
        FailsOnce,
        FailsFromThenOn,
        Kills,
    }

    thread_local! {
        static FAULT: Cell<Fault> = const { Cell::new(Fault::None) };
        /// Number of points before the fault.
        static LEFT: Cell<usize> = const { Cell::new(0) };
        static HAS_COME: Cell<bool> = const { Cell::new(false) };
        static CAN_EXCHANGE: Cell<bool> = const { Cell::new(true) };
    }

    /// Runs `work` on this thread with a fault after `points`. Also returns whether the fault has occurred.
    pub(in crate::storage) fn with<R>(
        fault: Fault,
        points: usize,
        work: impl FnOnce() -> R,
    ) -> (R, bool) {
        FAULT.set(fault);
        LEFT.set(points);
        HAS_COME.set(false);
        let result = work();
        FAULT.set(Fault::None);
        (result, HAS_COME.get())
    }

    pub(in crate::storage) fn set_exchange(can_exchange: bool) {
        CAN_EXCHANGE.set(can_exchange);
    }

    pub(in crate::storage) fn can_exchange() -> bool {
        CAN_EXCHANGE.get()
    }

    pub(in crate::storage) fn point() -> io::Result<()> {
        let left = LEFT.get();
        LEFT.set(left.saturating_sub(1));
        let fault = FAULT.get();
        if left > 0 || fault == Fault::None {
            return Ok(());
        }
        HAS_COME.set(true);
        match fault {
            Fault::Kills => std::process::abort(),
            Fault::FailsOnce => FAULT.set(Fault::None),
            Fault::FailsFromThenOn | Fault::None => {}
        }
        Err(io::ErrorKind::StorageFull.into())
    }
}
