//! Is an uploaded agreement read by the program's hidden command within limits, whatever the file does?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::path::Path;
use std::process::Command;

use affectory_portal::agreement::{
    Agreement, AgreementNumber, Clause, Issued, Licensor, Party, Report, Rule, Verdict, agreement_pdf, check_in_child,
};

fn issued() -> Issued {
    let number = AgreementNumber::new(2026, 7);
    let agreement = Agreement {
        database: "Faces".into(),
        release: "1".into(),
        licensor: Licensor { lab: "Lab".into(), institution: "University".into() },
        number,
        terms: vec![Clause { heading: "Use".into(), text: "For research.".into() }],
        licensee: Party {
            name: "Ada Lovelace".into(),
            position: "Professor".into(),
            institution: "University".into(),
            email: "ada@university.example".into(),
            orcid: None,
            web_page: None,
        },
        purpose: "Research.".into(),
        date: "2026-11-27".into(),
        named_students: Vec::new(),
    };
    Issued { number, pdf: agreement_pdf(&agreement).unwrap() }
}

async fn check(uploaded: Vec<u8>) -> Report {
    check_in_child(Path::new(env!("CARGO_BIN_EXE_affectory")), uploaded, issued()).await.unwrap()
}

#[tokio::test]
async fn the_child_finds_what_the_library_finds() {
    let report = check(issued().pdf).await;
    assert_eq!(report.findings.len(), 9, "{report:#?}");
    assert!(matches!(report.verdict(Rule::Signature), Some(Verdict::Refused(_))));
    assert_eq!(report.verdict(Rule::Text), Some(&Verdict::Passed));
}

#[tokio::test]
async fn a_file_of_nested_brackets_is_a_finding_and_no_crash_of_ours() {
    let mut bytes = b"%PDF-1.7\n1 0 obj\n".to_vec();
    bytes.extend(std::iter::repeat_n(b'[', 9 << 20));
    assert!(check(bytes).await.is_refused());
}

#[tokio::test]
async fn a_file_of_more_objects_than_any_agreement_has_is_a_finding() {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    for number in 1..400_000 {
        bytes.extend(format!("{number} 0 obj<<>>endobj\n").into_bytes());
    }
    bytes.extend(b"trailer<</Root 1 0 R>>");
    assert!(check(bytes).await.is_refused());
}

#[test]
fn the_command_is_not_shown_to_people() {
    let help = Command::new(env!("CARGO_BIN_EXE_affectory")).arg("--help").output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains("check-agreement"));
}
