//! Does a letter reach a mail server, once it is there, and is it what was written?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::sync::{Arc, Mutex};

use affectory_catalog::{Catalog, NewLetter};
use affectory_portal::{MailSecurity, MailSettings, Mailer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

/// A mail server that speaks as much SMTP as a letter needs, and keeps what it hears. The first letter it refuses.
async fn start(heard: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut n_letters = 0;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (reader, mut writer) = stream.into_split();
            let mut lines = BufReader::new(reader).lines();
            writer.write_all(b"220 here\r\n").await.unwrap();
            while let Some(line) = lines.next_line().await.unwrap() {
                let answer = match line.split([' ', ':']).next().unwrap() {
                    "EHLO" => "250 here",
                    "MAIL" if n_letters == 0 => {
                        n_letters = 1;
                        "451 not now"
                    }
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
    });
    port
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

#[test]
fn settings_that_cannot_be_are_told_before_a_letter_waits() {
    let settings = MailSettings { server: "mail:x".into(), ..MailSettings::default() };
    assert!(Mailer::new(&settings, None).err().unwrap().to_string().contains("server"));
    let settings = MailSettings { server: "mail".into(), from: "nobody".into(), ..MailSettings::default() };
    assert!(Mailer::new(&settings, None).err().unwrap().to_string().contains("from"));
    assert!(Mailer::new(&MailSettings::default(), None).unwrap().is_none());
}
