//! One life of a process that uses a spool: some senders and deliverers at once, until all is done
//! or the power is cut.

use crate::{disk::SimDisk, model::Model, world::World};
use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};
use waypost::{
    proto::{
        mail::address::Address,
        status::{Class, Outcome, Status},
    },
    relay::{
        envelope::{Envelope, Id, Octets, Progress, Recipient},
        spool::{Recovered, Room, Spool, SpoolError},
    },
    sys::Sys,
    time::Wall,
};

/// What the people of a life have in common.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) world: World,
    pub(crate) sys: Sys,
    pub(crate) spool: Spool,
    pub(crate) model: Rc<RefCell<Model>>,
    /// Of ten things to do, so many are new messages.
    pub(crate) eager: u64,
}

/// Open the spool, again and again while the disk fails.
pub(crate) async fn open(sys: &Sys, room: Room, disk: &SimDisk) -> (Spool, Recovered) {
    for _ in 0..20 {
        if let Ok(opened) = Spool::open(sys, room).await {
            return opened;
        }
    }
    disk.fail(crate::disk::Faults::default());
    Spool::open(sys, room).await.expect("the disk is fine now")
}

/// The disk was told to fail so.
pub(crate) fn is_simulated(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other
}

/// All of a message, however often the disk fails.
pub(crate) async fn recall(spool: &Spool, id: Id) -> io::Result<(Envelope, Progress, Vec<u8>)> {
    loop {
        let loaded = match spool.load(id).await {
            Ok((envelope, progress)) => {
                read(spool, id).await.map(|octets| (envelope, progress, octets))
            }
            Err(error) => Err(error),
        };
        if !loaded.as_ref().is_err_and(is_simulated) {
            return loaded;
        }
    }
}

/// The octets of a message.
pub(crate) async fn read(spool: &Spool, id: Id) -> io::Result<Vec<u8>> {
    let body = spool.body(id).await?;
    let mut octets = Vec::new();
    while (octets.len() as u64) < body.size() {
        let chunk = body.chunk(octets.len() as u64).await?;
        assert!(!chunk.is_empty(), "the end came too early");
        octets.extend(chunk);
    }
    assert!(body.chunk(body.size()).await?.is_empty(), "nothing is behind the end");
    Ok(octets)
}

impl Life {
    /// Do so many things, by chance.
    pub(crate) async fn live(self, things: u64) {
        for _ in 0..things {
            let what = self.world.below(10);
            if what < self.eager {
                self.send().await;
                continue;
            }
            match self.world.below(12) {
                0..4 => self.done().await,
                4..7 => self.settle().await,
                7 => self.bounce().await,
                8..10 => self.load().await,
                10 => self.sync().await,
                _ => self.sys.sleep(Duration::from_millis(self.world.below(4000))).await,
            }
        }
    }

    fn pick(&self) -> Option<Id> {
        let idle = self.model.borrow().idle();
        idle.get(usize::try_from(self.world.below(idle.len() as u64)).ok()?).copied()
    }

    fn text(&self, most: u64) -> String {
        let length = self.world.below(most);
        (0..length).map(|n| char::from(b'a' + u8::try_from(n % 26).expect("a letter"))).collect()
    }

    pub(crate) fn envelope(&self) -> Envelope {
        let address = |text: String| Address::parse(&text).expect("valid");
        let many = if self.world.below(40) == 0 { 60 } else { 4 };
        let recipients = (0..=self.world.below(many)).map(|n| Recipient {
            to: address(format!("r{n}@example.org")),
            orcpt: self.text(20),
            notify: waypost::relay::envelope::Notify::default(),
        });
        Envelope {
            from: (self.world.below(4) > 0).then(|| address("cam@home.arpa".into())),
            recipients: recipients.collect(),
            ours: self.world.below(2) > 0,
            arrived: (self.world.below(3) > 0).then(|| Wall(self.world.below(1 << 40))),
            source: self.text(30),
            message_id: self.text(40),
            user: (self.world.below(3) == 0).then(|| self.text(10)),
            peer: (self.world.below(3) > 0).then(|| [10, 0, 0, 7].into()),
            ..Envelope::default()
        }
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let size = match self.world.below(20) {
            0 => 0,
            1 => 5 * 1024 + self.world.below(3),
            2 => 6 * 1024 + self.world.below(60 * 1024),
            3..6 => self.world.below(5 * 1024),
            _ => self.world.below(2 * 1024),
        };
        let size = usize::try_from(size).expect("small");
        let mut octets = vec![u8::try_from(self.world.below(256)).expect("an octet"); size];
        for (n, piece) in octets.chunks_mut(100).enumerate() {
            piece[0] = u8::try_from(n % 256).expect("an octet");
        }
        octets
    }

    /// A draft that knows all its octets, or `None` where the disk or the room did not allow it.
    async fn draft(&self, octets: &[u8]) -> Option<waypost::relay::spool::Draft> {
        let mut draft = self.spool.draft();
        let mut rest = octets;
        while !rest.is_empty() {
            let n = (1 + self.world.below(20_000)).min(rest.len() as u64);
            let (now, later) = rest.split_at(usize::try_from(n).expect("a part"));
            rest = later;
            draft.append(now).await.ok()?;
        }
        Some(draft)
    }

    async fn send(&self) {
        let (envelope, octets) = (self.envelope(), self.octets());
        // Others may wait for this one, and this one may dawdle.
        let coming = (self.world.below(3) > 0).then(|| self.spool.expect());
        if self.world.below(4) == 0 {
            self.sys.sleep(Duration::from_millis(self.world.below(4))).await;
        }
        let Some(draft) = self.draft(&octets).await else { return };
        if self.world.below(20) == 0 {
            return;
        }
        drop(coming);
        let id = draft.id();
        let start = {
            let mut model = self.model.borrow_mut();
            model.send(id, envelope.clone(), octets);
            model.tick()
        };
        let commit = self.spool.commit(draft, &envelope);
        if self.world.below(25) == 0 {
            // The session goes away; what becomes of the message is nobody's business. That it is
            // not promised is all the model knows.
            let mut commit = pin!(commit);
            let mut polls = self.world.below(6);
            let heard = poll_fn(|cx| match commit.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(result.is_ok()),
                Poll::Pending if polls == 0 => Poll::Ready(false),
                Poll::Pending => {
                    polls -= 1;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            });
            if heard.await {
                self.kept(id, start);
            }
            return;
        }
        match commit.await {
            Ok(entry) => {
                assert_eq!(entry.id, id);
                self.kept(id, start);
            }
            Err(SpoolError::Full | SpoolError::Io(_)) => {}
            Err(SpoolError::TooMany) => panic!("61 recipients are not too many"),
        }
    }

    fn kept(&self, id: Id, start: u64) {
        let mut model = self.model.borrow_mut();
        model.sent.get_mut(&id).expect("it was sent").promised = true;
        model.synced(start);
    }

    async fn settle(&self) {
        let Some(id) = self.pick() else { return };
        let progress = {
            let mut model = self.model.borrow_mut();
            let sent = model.sent.get_mut(&id).expect("picked");
            sent.busy = true;
            let progress = self.progress(&sent.versions[sent.taken]);
            sent.versions.push(progress.clone());
            progress
        };
        let result = self.spool.settle(id, &progress).await;
        let mut model = self.model.borrow_mut();
        let sent = model.sent.get_mut(&id).expect("nobody else ends it");
        sent.busy = false;
        if result.is_ok() {
            sent.taken = sent.versions.len() - 1;
            let version = sent.taken;
            model.taken(id, Some(version));
        }
    }

    fn progress(&self, last: &Progress) -> Progress {
        let mut next = last.clone();
        next.attempts += 1;
        next.spent += Duration::from_millis(self.world.below(100_000));
        next.held = self.world.below(2) == 0;
        let class = if self.world.below(2) == 0 { Class::Transient } else { Class::Permanent };
        // Short enough that they are never cut: the model compares them whole.
        let words = if next.outcomes.len() < 5 { 40 } else { 1 };
        for outcome in &mut next.outcomes {
            if self.world.below(2) == 0 {
                *outcome = Some(Outcome::ours(Status::new(class, 4, 1), self.text(words)));
            }
        }
        next
    }

    async fn done(&self) {
        let Some(id) = self.pick() else { return };
        self.with(id, |sent| (sent.busy, sent.ending) = (true, true));
        let result = self.spool.done(id).await;
        if result.is_ok() {
            self.model.borrow_mut().taken(id, None);
        } else {
            // The disk may hold the record all the same; what is certain is that it is still there
            // now.
            let loaded = self.spool.load(id).await;
            let there = loaded.as_ref().err().is_none_or(is_simulated);
            assert!(
                there || self.model.borrow().damaged,
                "an end that failed is no end: {loaded:?}"
            );
            self.with(id, |sent| sent.busy = true);
        }
    }

    async fn bounce(&self) {
        let Some(id) = self.pick() else { return };
        let (envelope, octets) = (self.envelope(), self.octets());
        self.with(id, |sent| sent.busy = true);
        let Some(draft) = self.draft(&octets).await else {
            self.with(id, |sent| sent.busy = false);
            return;
        };
        let bounce = draft.id();
        let start = {
            let mut model = self.model.borrow_mut();
            model.send(bounce, envelope.clone(), octets);
            let sent = model.sent.get_mut(&id).expect("picked");
            (sent.ending, sent.replaced_by) = (true, Some(bounce));
            model.tick()
        };
        if self.spool.replace(id, draft, &envelope).await.is_ok() {
            self.model.borrow_mut().end(id);
            self.kept(bounce, start);
        }
    }

    async fn load(&self) {
        let Some(id) = self.pick() else { return };
        self.with(id, |sent| sent.busy = true);
        let loaded = self.spool.load(id).await;
        let octets = read(&self.spool, id).await;
        self.with(id, |sent| sent.busy = false);
        if let (Ok((envelope, progress)), Ok(octets)) = (&loaded, &octets) {
            self.model.borrow().loaded(id, envelope, progress, octets);
        } else {
            let failed = loaded.err().or(octets.err()).expect("one of them");
            let known = self.model.borrow().damaged || is_simulated(&failed);
            assert!(known, "{id} cannot be read: {failed:?}");
        }
    }

    async fn sync(&self) {
        let start = self.model.borrow_mut().tick();
        if self.spool.sync_now().await.is_ok() {
            self.model.borrow_mut().synced(start);
        }
    }

    fn with(&self, id: Id, change: impl FnOnce(&mut crate::model::Sent)) {
        change(self.model.borrow_mut().sent.get_mut(&id).expect("nobody else ends it"));
    }
}
