//! `cgv man`: the manual, one page with all commands.

use std::io::{self, Write};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output;

/// What a page says of the environment and of exit codes, in its own language.
const ENVIRONMENT: &str = r#".SH "ENVIRONMENT"
.TP
\fBCGV_STORE\fR, \fBCGV_BACKUPS\fR
What \-\-store and \-\-backups say where they are left out
.TP
\fBCGV_OPENAI_API_KEY\fR
The key of the endpoint that \-\-embedder openai:URL,MODEL names
.TP
\fBCGV_OPENAI_URL\fR
The URL of an endpoint on another machine that may be asked where \-\-embedder is left out and the store names it:
a store that came from elsewhere may name any
.TP
\fBNO_COLOR\fR, \fBCLICOLOR_FORCE\fR
No colours; colours even where there is no terminal
.SH "EXIT STATUS"
0: it did what was asked; 1: that failed; 2: the command line makes no sense
"#;

/// Print the manual page, for `man`: cgv man > /usr/local/share/man/man1/cgv.1
#[derive(Args, Debug)]
pub(crate) struct ManArgs {}

pub(crate) fn run(_args: &ManArgs) -> Result<(), Failure> {
    output::lines(|out| write(out))
}

fn write(out: &mut dyn Write) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone());
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    let mut examples = Vec::new();
    man.render_extra_section(&mut examples)?;
    write_part(out, &examples)?;
    out.write_all(b".SH COMMANDS\n")?;
    write_commands(out, &command)?;
    out.write_all(ENVIRONMENT.as_bytes())?;
    man.render_version_section(out)
}

/// The commands of a command, and theirs.
fn write_commands(out: &mut dyn Write, parent: &Command) -> io::Result<()> {
    let is_told = |command: &&Command| command.get_name() != "help" && !command.is_hide_set();
    for command in parent.get_subcommands().filter(is_told) {
        write_command(out, command)?;
        write_commands(out, command)?;
    }
    Ok(())
}

/// A command as a part of the page: what would be its own sections are parts of that.
fn write_command(out: &mut dyn Write, command: &Command) -> io::Result<()> {
    // The options of every command are said once, at the top.
    let own = command.clone().mut_args(|arg| {
        let hidden = arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version");
        arg.hide(hidden)
    });
    let man = Man::new(own);
    let mut sections = Vec::new();
    man.render_synopsis_section(&mut sections)?;
    man.render_description_section(&mut sections)?;
    man.render_options_section(&mut sections)?;
    man.render_extra_section(&mut sections)?;
    writeln!(out, ".SS \"{}\"", command.get_bin_name().unwrap_or_else(|| command.get_name()))?;
    write_part(out, &sections)
}

/// Sections without the titles that say nothing, and with the others in passing.
fn write_part(out: &mut dyn Write, sections: &[u8]) -> io::Result<()> {
    // Commands to be typed stay as they are: not filled, and not hyphenated. They are the last section.
    let mut as_is = false;
    for line in sections.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b".SH ") {
            Some(b"SYNOPSIS\n" | b"DESCRIPTION\n") => out.write_all(b".PP\n")?,
            Some(b"EXTRA\n") => {
                as_is = true;
                out.write_all(b".PP\n.nf\n")?;
            }
            Some(title) => {
                out.write_all(b".PP\n\\fI")?;
                out.write_all(title.trim_ascii_end())?;
                out.write_all(b"\\fR\n")?;
            }
            None => out.write_all(line)?,
        }
    }
    if as_is { out.write_all(b".fi\n") } else { Ok(()) }
}
