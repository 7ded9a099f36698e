//! What makes readers of dotenv files disagree about a value, in the words of a warning.
//!
//! **The words name a sign and its readers, never the text around it.**

use crate::base::error::{Place, Problem};

/// A reason why two readers see two values. The table of `docs/dotenv.md` has a line for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ambiguity {
    /// An unquoted blank inside the value.
    Blank,
    /// Blanks at the end of an unquoted value, or a blank that is not ASCII at either end.
    BlankAtEdge,
    BlankAroundEquals,
    Dollar,
    /// A `#` that does not begin a comment here.
    Hash,
    /// Nothing but a comment behind `=`.
    OnlyComment,
    /// A `\` that some readers take as it stands and others do not.
    Backslash,
    /// A quote inside an unquoted value.
    Quote,
    /// A backtick: bash runs what stands between two of them.
    Backtick,
    /// An unquoted sign that ends a word in a shell.
    ShellSign,
    CarriageReturn,
    /// A name that a shell cannot set.
    Name,
    /// The shell's way to write a single quote between single quotes.
    JoinedQuotes,
    /// Lines end in CR LF.
    CrLf,
    /// A name without `=`.
    NoValue,
    /// A byte order mark before the first name.
    ByteOrderMark,
    /// A name twice with the same value.
    Repeated,
}

impl Ambiguity {
    pub const ALL: [Self; 17] = [
        Self::Blank,
        Self::BlankAtEdge,
        Self::BlankAroundEquals,
        Self::Dollar,
        Self::Hash,
        Self::OnlyComment,
        Self::Backslash,
        Self::Quote,
        Self::Backtick,
        Self::ShellSign,
        Self::CarriageReturn,
        Self::Name,
        Self::JoinedQuotes,
        Self::CrLf,
        Self::NoValue,
        Self::ByteOrderMark,
        Self::Repeated,
    ];

    /// The stable code of its warning.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Blank => "dotenv-blank",
            Self::BlankAtEdge => "dotenv-blank-at-edge",
            Self::BlankAroundEquals => "dotenv-blank-around-equals",
            Self::Dollar => "dotenv-dollar",
            Self::Hash => "dotenv-hash",
            Self::OnlyComment => "dotenv-only-comment",
            Self::Backslash => "dotenv-backslash",
            Self::Quote => "dotenv-quote",
            Self::Backtick => "dotenv-backtick",
            Self::ShellSign => "dotenv-shell-sign",
            Self::CarriageReturn => "dotenv-carriage-return",
            Self::Name => "dotenv-name",
            Self::JoinedQuotes => "dotenv-joined-quotes",
            Self::CrLf => "dotenv-crlf",
            Self::NoValue => "dotenv-no-value",
            Self::ByteOrderMark => "dotenv-byte-order-mark",
            Self::Repeated => "dotenv-repeated",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Blank => {
                "the value holds a blank outside quotes and is taken with it; bash and dotenvy do not read it so"
            }
            Self::BlankAtEdge => {
                "blanks at the end of the value are dropped if they are ASCII and kept if not; readers differ"
            }
            Self::BlankAroundEquals => "blanks around `=` are dropped; bash does not read this as an assignment",
            Self::Dollar => {
                "`$` is taken as it stands; bash, docker compose, gh and others may put another text in its place"
            }
            Self::Hash => "`#` without a blank before it belongs to the value; node's dotenv ends the value there",
            Self::OnlyComment => {
                "nothing but a comment follows `=`, so the value is empty; python-dotenv takes the comment"
            }
            Self::Backslash => "a `\\` is read in more than one way: bash, node's dotenv and the others differ",
            Self::Quote => "a quote inside an unquoted value is taken as it stands; bash drops it",
            Self::Backtick => "bash runs what stands in backticks; here they quote a value, or stand for themselves",
            Self::ShellSign => "the value holds a sign that ends a word in a shell; `source` does not read it whole",
            Self::CarriageReturn => "the value holds a carriage return, which is kept; several readers change it",
            Self::Name => "the name holds a `.` or a `-`; a shell cannot set it",
            Self::JoinedQuotes => "`'\\''` is read as a single quote, as shells do; other readers do not",
            Self::CrLf => "lines end in CR LF; the CR is dropped here, and bash keeps it",
            Self::NoValue => {
                "a name without `=` has no value and is skipped; docker compose takes it from its environment"
            }
            Self::ByteOrderMark => "the file begins with a byte order mark, which is dropped; bash takes it for a name",
            Self::Repeated => "the name was given before, with the same value",
        }
    }

    /// The warning for it; with `strict`, the error.
    #[must_use]
    pub fn problem(self, place: Place, strict: bool) -> Problem {
        let problem = if strict {
            Problem::error(self.code(), self.message())
        } else {
            Problem::warning(self.code(), self.message())
        };
        let problem = problem.at(place);
        match self {
            Self::Blank
            | Self::BlankAtEdge
            | Self::Dollar
            | Self::Hash
            | Self::OnlyComment
            | Self::Quote
            | Self::ShellSign => problem.hint("write the value between single quotes"),
            Self::BlankAroundEquals => problem.hint("write NAME=value without blanks"),
            Self::NoValue => problem.hint("write NAME= for an empty value"),
            _ => problem,
        }
    }
}
