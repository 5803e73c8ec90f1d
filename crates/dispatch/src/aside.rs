//! How does somebody ask for work who may not wait for the answer? A task of its own asks, one question at a time; an answer
//! that comes late is there when the next one is asked for.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

/// Gives out one thing after the other, and may take its time about it.
pub(crate) trait Source: Send + 'static {
    /// What it gives out.
    type Item: Send + 'static;

    /// The next one, if there is one now.
    fn next(&mut self) -> impl Future<Output = Option<Self::Item>> + Send;
}

/// Asks a source, aside from whoever wants to know. Dropped, it asks no more.
#[derive(Debug)]
pub(crate) struct Aside<T> {
    questions: mpsc::Sender<()>,
    answers: mpsc::Receiver<Option<T>>,
    /// Whether an answer is still to come.
    is_asked: bool,
}

impl<T: Send + 'static> Aside<T> {
    pub(crate) fn new(mut source: impl Source<Item = T>) -> Aside<T> {
        let (questions, mut asked) = mpsc::channel(1);
        let (answer, answers) = mpsc::channel(1);
        tokio::spawn(
            async move { while asked.recv().await.is_some() && answer.send(source.next().await).await.is_ok() {} },
        );
        Aside { questions, answers, is_asked: false }
    }

    /// The next one, if it comes within that time; if it was asked for before and did not, whether it is there by now.
    pub(crate) async fn next(&mut self, within: Duration) -> Option<T> {
        if self.is_asked {
            return self.late(Duration::ZERO).await;
        }
        self.questions.send(()).await.ok()?;
        self.is_asked = true;
        self.late(within).await
    }

    /// What was asked for before and did not come, if it comes within that time.
    pub(crate) async fn late(&mut self, within: Duration) -> Option<T> {
        if !self.is_asked {
            return None;
        }
        let answer = timeout(within, self.answers.recv()).await.ok()?;
        self.is_asked = false;
        answer.flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    /// Counts, but says a number only when it is let.
    struct Slow(u32, Arc<Semaphore>);

    impl Source for Slow {
        type Item = u32;

        async fn next(&mut self) -> Option<u32> {
            self.1.acquire().await.ok()?.forget();
            self.0 += 1;
            Some(self.0)
        }
    }

    #[tokio::test]
    async fn a_silent_source_holds_nobody_up_and_what_it_says_late_is_not_lost() {
        let (at_once, long) = (Duration::from_millis(1), Duration::from_secs(60));
        let say = Arc::new(Semaphore::new(0));
        let mut aside = Aside::new(Slow(0, Arc::clone(&say)));
        assert_eq!(aside.late(long).await, None, "nobody asked");
        assert_eq!((aside.next(at_once).await, aside.next(at_once).await), (None, None));
        say.add_permits(2);
        assert_eq!((aside.late(long).await, aside.late(long).await), (Some(1), None), "asked once");
        assert_eq!(aside.next(long).await, Some(2));
    }
}
