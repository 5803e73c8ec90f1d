//! Does a letter reach a mail server, once it is there, and is it what was written?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use affectory_catalog::{Catalog, NewLetter};
use affectory_portal::{MailSecurity, MailSettings, Mailer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A mail server that speaks as much SMTP as a letter needs, and keeps what it hears. The first letter it refuses.
async fn start(heard: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let has_refused = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(listen(stream, Arc::clone(&has_refused), Arc::clone(&heard)));
        }
    });
    port
}

async fn listen(stream: TcpStream, has_refused: Arc<AtomicBool>, heard: Arc<Mutex<Vec<String>>>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 here\r\n").await.unwrap();
    while let Some(line) = lines.next_line().await.unwrap() {
        let answer = match line.split([' ', ':']).next().unwrap() {
            "EHLO" => "250 here",
            "MAIL" if !has_refused.swap(true, Ordering::Relaxed) => "451 not now",
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await.unwrap();
                let mut letter = String::new();
                while let Some(line) = lines.next_line().await.unwrap().filter(|line| line != ".") {
                    letter += &line;
                    letter.push('\n');
                }
                heard.lock().unwrap().push(letter);
                "250 taken"
            }
            "QUIT" => "221 good bye",
            _ => "250 yes",
        };
        writer.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_letter_that_was_refused_goes_out_later_and_each_goes_out_once() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::connect(&format!("sqlite:{}", folder.path().join("c").display())).await.unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let port = start(Arc::clone(&heard)).await;
    let settings = MailSettings {
        server: format!("127.0.0.1:{port}"),
        security: MailSecurity::None,
        user: String::new(),
        from: "Lab <lab@example.org>".into(),
    };
    let mailer = Mailer::new(&settings, None).unwrap().unwrap();
    let letter = |n: u32| NewLetter {
        recipient: format!("reader{n}@example.org"),
        subject: format!("Überraschung {n}"),
        body: "Grüße,\n.\nBcc: eve@example.org\n".into(),
    };
    catalog.queue_letters(&[letter(1), letter(2)], 0).await.unwrap();
    assert_eq!(mailer.send_due(&catalog, || 1_000).await.unwrap(), (1, 1));
    assert_eq!(mailer.send_due(&catalog, || 2_000).await.unwrap(), (0, 0), "a minute is waited");
    assert_eq!(mailer.send_due(&catalog, || 61_000).await.unwrap(), (1, 0));
    assert_eq!(mailer.send_due(&catalog, || 1_000_000).await.unwrap(), (0, 0));
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    for (letter, reader) in heard.iter().zip(["reader2", "reader1"]) {
        let (head, _body) = letter.split_once("\n\n").unwrap();
        assert!(head.contains(&format!("To: {reader}@example.org")) && !head.contains("Bcc"), "{head}");
        assert!(head.contains("utf-8"), "letters are not only English: {head}");
    }
}

#[tokio::test]
async fn two_servers_with_one_catalogue_send_each_letter_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("c").display());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let settings = MailSettings {
        server: format!("127.0.0.1:{}", start(Arc::clone(&heard)).await),
        security: MailSecurity::None,
        user: String::new(),
        from: "Lab <lab@example.org>".into(),
    };
    let catalogs = [Catalog::connect(&url).await.unwrap(), Catalog::connect(&url).await.unwrap()];
    let letter = |n: u32| NewLetter {
        recipient: format!("reader{n}@example.org"),
        subject: n.to_string(),
        body: "Dear reader\n".into(),
    };
    catalogs[0].queue_letters(&(0..10).map(letter).collect::<Vec<_>>(), 0).await.unwrap();
    let servers = catalogs.map(|catalog| {
        let mailer = Mailer::new(&settings, None).unwrap().unwrap();
        tokio::spawn(async move { mailer.send_due(&catalog, || 1_000).await.unwrap() })
    });
    let (mut n_sent, mut n_failed) = (0, 0);
    for server in servers {
        let (sent, failed) = server.await.unwrap();
        (n_sent, n_failed) = (n_sent + sent, n_failed + failed);
    }
    // The first is refused, and tried again a minute later.
    assert_eq!((n_sent, n_failed), (9, 1));
    assert_eq!(heard.lock().unwrap().len(), 9);
}

#[test]
fn settings_that_cannot_be_are_told_before_a_letter_waits() {
    let settings = MailSettings { server: "mail:x".into(), ..MailSettings::default() };
    assert!(Mailer::new(&settings, None).err().unwrap().to_string().contains("server"));
    let settings = MailSettings { server: "mail".into(), from: "nobody".into(), ..MailSettings::default() };
    assert!(Mailer::new(&settings, None).err().unwrap().to_string().contains("from"));
    assert!(Mailer::new(&MailSettings::default(), None).unwrap().is_none());
}
