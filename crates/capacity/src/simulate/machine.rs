//! What do the cores of one machine do next?

use std::collections::VecDeque;

use super::{Event, Micros, Of, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// A process starts: a worker, or the dispatcher.
    Starts { takes: Micros, worker: Option<Of> },
    /// One fetch of a host.
    Fetches { takes: Micros, of: Of, host: u32, is_image: bool },
    /// One image is searched for faces.
    Searches { takes: Micros, of: Of },
}

impl Task {
    fn takes(self) -> Micros {
        match self {
            Task::Starts { takes, .. } | Task::Fetches { takes, .. } | Task::Searches { takes, .. } => takes,
        }
    }
}

#[derive(Debug)]
pub(super) struct Machine {
    idle: u32,
    /// Searching for faces, and all else: the system's scheduler gives both the same time if both want it.
    waiting: [VecDeque<Task>; 2],
    used: [Micros; 2],
    pub(super) busy: Micros,
    /// The line into it: one image after the other.
    pub(super) line_free_at: Micros,
    pub(super) line_busy: Micros,
    /// Its disk flushes one batch after the other.
    pub(super) disk_free_at: Micros,
}

impl Machine {
    pub(super) fn new(cores: u32) -> Machine {
        let waiting = [VecDeque::new(), VecDeque::new()];
        Machine { idle: cores, waiting, used: [0; 2], busy: 0, line_free_at: 0, line_busy: 0, disk_free_at: 0 }
    }

    fn add(&mut self, task: Task) {
        let class = usize::from(!matches!(task, Task::Searches { .. }));
        // Who comes back has no claim to what was not used meanwhile.
        if self.waiting[class].is_empty() {
            self.used[class] = self.used[class].max(self.used[1 - class]);
        }
        self.waiting[class].push_back(task);
    }

    fn next(&mut self) -> Option<Task> {
        if self.idle == 0 {
            return None;
        }
        let first = usize::from(self.used[1] <= self.used[0]);
        let class = if self.waiting[first].is_empty() { 1 - first } else { first };
        let task = self.waiting[class].pop_front()?;
        self.idle -= 1;
        self.used[class] += task.takes();
        self.busy += task.takes();
        Some(task)
    }
}

impl World<'_> {
    pub(super) fn compute(&mut self, machine: usize, task: Task) {
        self.machines[machine].add(task);
        self.go_on(machine);
    }

    fn go_on(&mut self, machine: usize) {
        while let Some(task) = self.machines[machine].next() {
            self.after(task.takes(), Event::Computed { machine, task });
        }
    }

    pub(super) fn computed(&mut self, machine: usize, task: Task) {
        self.machines[machine].idle += 1;
        match task {
            Task::Starts { worker: None, .. } => self.after(0, Event::Turn),
            Task::Starts { worker: Some(of), .. } if self.is_alive(of) => self.is_up(of),
            Task::Fetches { of, host, is_image, .. } if self.is_alive(of) => self.is_fetched(of, host, is_image),
            Task::Searches { of, .. } if self.is_alive(of) => self.is_searched(of),
            Task::Starts { .. } | Task::Fetches { .. } | Task::Searches { .. } => {}
        }
        self.go_on(machine);
    }
}
