//! What stands in each letter?

use affectory_catalog::NewLetter;

use crate::settings::PortalSettings;

/// What all letters of a portal have in common.
#[derive(Debug, Clone, Copy)]
pub struct Letters<'a> {
    /// The database, and who writes.
    pub settings: &'a PortalSettings,
    /// Under which address browsers know the server, without a slash at its end.
    pub base: &'a str,
}

impl Letters<'_> {
    fn letter(&self, recipient: &str, name: &str, subject: &str, body: &str) -> NewLetter {
        let database = &self.settings.database;
        let greeting = if name.is_empty() { "Hello,".to_owned() } else { format!("Dear {},", one_line(name)) };
        NewLetter {
            recipient: recipient.to_owned(),
            subject: format!("{}: {subject}", one_line(&database.name)),
            body: format!(
                "{greeting}\n\n{}\n\n--\n{}\n{}\nQuestions: {}\n",
                body.trim(),
                one_line(&database.name),
                one_line(&database.licensor),
                database.contact
            ),
        }
    }

    fn days(&self) -> u32 {
        self.settings.access.link_days
    }

    /// To whoever asked: is this address yours?
    pub fn confirm(&self, email: &str, name: &str, word: &str) -> NewLetter {
        let body = format!(
            "somebody, we hope you, asked for access under this address. Please confirm it within {} days:\n\n\
             {}/request/confirm/{word}\n\nIf it was not you, nothing more will happen.",
            self.days(),
            self.base
        );
        self.letter(email, name, "confirm your address", &body)
    }

    /// To a student's supervisor, who alone can sign.
    pub fn supervisor(&self, email: &str, name: &str, student: &str, purpose: &str, word: &str) -> NewLetter {
        let body = format!(
            "{} asks for access to our data and named you as supervisor. Access is given to heads of laboratories and \
             professors, who sign for their students: the request becomes yours when you follow this link within {} \
             days.\n\n{}/request/confirm/{word}\n\nWhat it is for, in the student's words:\n\n    {}\n\nIf you do not \
             know of this, nothing more will happen.",
            one_line(student),
            self.days(),
            self.base,
            one_line(purpose)
        );
        self.letter(email, name, "a student asks for access through you", &body)
    }

    /// To a student: it is with the supervisor now.
    pub fn with_supervisor(&self, email: &str, name: &str, supervisor: &str) -> NewLetter {
        let body = format!(
            "your request went to {}, who can sign for it. You will hear from us when there is access for you.",
            one_line(supervisor)
        );
        self.letter(email, name, "your request is with your supervisor", &body)
    }

    /// To the owner: here is what to sign.
    pub fn sign(&self, email: &str, name: &str, number: &str) -> NewLetter {
        let body = format!(
            "your agreement has the number {number}. Please download it, sign it, and upload it again:\n\n{}/access\n\n\
             A digital signature, one drawn in your PDF reader and a scan of a signed print are all welcome.",
            self.base
        );
        self.letter(email, name, "your agreement", &body)
    }

    /// To the owner: it is in.
    pub fn submitted(&self, email: &str, name: &str, number: &str) -> NewLetter {
        let body =
            format!("the signed agreement {number} has arrived. Somebody will look at it and you will hear from us.");
        self.letter(email, name, "your agreement has arrived", &body)
    }

    /// To the lab: somebody waits.
    pub fn waiting(&self, request: i64, name: &str, institution: &str, n_days: i64) -> NewLetter {
        let since = if n_days > 0 { format!(" It has waited for {n_days} days.") } else { String::new() };
        let body = format!(
            "the request of {}, {}, waits for a decision.{since}\n\n{}/requests/{request}",
            one_line(name),
            one_line(institution),
            self.base
        );
        self.letter(&self.settings.database.contact, "", "a request waits for you", &body)
    }

    /// To the lab: somebody would like to have more time.
    pub fn renewal(&self, name: &str, release: &str) -> NewLetter {
        let body = format!("{} asks for more time with {}.\n\n{}/grants", one_line(name), one_line(release), self.base);
        self.letter(&self.settings.database.contact, "", "a renewal is asked for", &body)
    }

    /// To the lab: somebody asks for a picture to be taken out.
    pub fn withdrawal_asked(&self) -> NewLetter {
        let body = format!("somebody asks for a picture to be withdrawn.\n\n{}/withdrawals", self.base);
        self.letter(&self.settings.database.contact, "", "a withdrawal is asked for", &body)
    }

    /// To whoever asked for a withdrawal.
    pub fn withdrawal_answer(&self, email: &str, answer: &str) -> NewLetter {
        self.letter(email, "", "your request to withdraw a picture", answer)
    }

    /// To the owner: sign, please.
    pub fn unsigned(&self, email: &str, name: &str) -> NewLetter {
        let body = format!("your agreement waits to be signed and uploaded:\n\n{}/access", self.base);
        self.letter(email, name, "your agreement waits", &body)
    }

    /// To the owner: a reviewer asks something.
    pub fn asked_back(&self, email: &str, name: &str, question: &str) -> NewLetter {
        let body = format!(
            "before we can decide, please answer this, or upload the agreement again:\n\n    {}\n\n{}/access",
            one_line(question),
            self.base
        );
        self.letter(email, name, "a question about your request", &body)
    }

    /// To the owner: no.
    pub fn refused(&self, email: &str, name: &str, reason: &str) -> NewLetter {
        let body = format!("we cannot give you access:\n\n    {}", one_line(reason));
        self.letter(email, name, "your request was refused", &body)
    }

    /// To the owner: yes.
    pub fn granted(&self, email: &str, name: &str, release: &str, until: &str) -> NewLetter {
        let body = format!(
            "you have access to {} until {until}. You can download it and name students of yours here:\n\n{}/access",
            one_line(release),
            self.base
        );
        self.letter(email, name, "you have access", &body)
    }

    /// To somebody a supervisor answers for.
    pub fn join(&self, email: &str, name: &str, owner: &str, release: &str, word: &str) -> NewLetter {
        let body = format!(
            "{} named you as somebody who works with {}. Please read the terms and accept them in your own name within \
             {} days:\n\n{}/join/{word}",
            one_line(owner),
            one_line(release),
            self.days(),
            self.base
        );
        self.letter(email, name, "access through your supervisor", &body)
    }

    /// To the owner: no longer.
    pub fn revoked(&self, email: &str, name: &str, release: &str, reason: &str) -> NewLetter {
        let body = format!(
            "your access to {} has ended:\n\n    {}\n\nThe agreement asks you to delete all copies.",
            one_line(release),
            one_line(reason)
        );
        self.letter(email, name, "your access has ended", &body)
    }

    /// To the owner: longer.
    pub fn renewed(&self, email: &str, name: &str, release: &str, until: &str) -> NewLetter {
        let body = format!("you have access to {} until {until} now.", one_line(release));
        self.letter(email, name, "your access was renewed", &body)
    }

    /// To everybody who has a copy: delete this picture.
    pub fn takedown(&self, email: &str, name: &str, release: &str, image_sha256: &str) -> NewLetter {
        let body = format!(
            "an image of {} was withdrawn. Your copy has it; the agreement asks you to delete it, and what was derived \
             from it, within 30 days:\n\n    {image_sha256}\n\nThe archive without it is here:\n\n{}/access",
            one_line(release),
            self.base
        );
        self.letter(email, name, "an image was withdrawn", &body)
    }
}

/// Text from outside as it may stand in a letter: one line, no controls, at most 500 characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::TEMPLATE;

    #[test]
    fn a_name_cannot_write_lines_of_its_own() {
        let settings = PortalSettings::parse(TEMPLATE).expect("settings");
        let letters = Letters { settings: &settings, base: "https://lab" };
        let letter = letters.waiting(7, "Eve\n\nYou have won:\nhttps://evil", "x", 0);
        assert!(!letter.subject.contains('\n'));
        assert!(letter.body.lines().all(|line| !line.starts_with("https://evil")), "{}", letter.body);
    }
}
