const OVERVIEW = `entries-server stores and synchronises an end-to-end encrypted budgeting app.

Usage: entries-server [command] [options]

Commands:
  serve             run the server (the default)
  migrate           bring the database's schema up to date, without serving
  migrate status    show which migrations are applied and which are not
  config check      check the configuration
  config print      show the settings in force and where each comes from
  config sample     print a sample.env with every setting
  proto             print the protobuf definitions of the messages

Options:
  --port N          listen on this TCP port instead of ENTRIES_PORT
  --data-dir DIR    use this data directory instead of ENTRIES_DATA_DIR
  --no-jobs         serve only, leave the periodic jobs to other servers on the same database
  --help            help, also for one command: entries-server migrate --help
  --version         print the version

Everything else is set by environment variables; see "entries-server config sample". Without any setting the server
runs its own PostgreSQL and keeps everything in ./entries-data.
`;

const TOPICS: Readonly<Record<string, string>> = {
  serve: `Usage: entries-server [serve] [--port N] [--data-dir DIR] [--no-jobs]

Checks the configuration, starts or waits for the database, brings its schema up to date, then listens. SIGTERM and
SIGINT stop it after the running requests.
Exit status: 0 after a stop, 2 for a wrong configuration or command line, 1 for any other failure.

  --port N          listen on this TCP port instead of ENTRIES_PORT (default 9000); 0 takes a free one
  --data-dir DIR    the embedded database, generated secrets and unsent mail are here (default ./entries-data)
  --no-jobs         serve only. Of several servers on one database at least one must run the jobs, which remove what
                    expired and accounts whose deletion is due
`,
  migrate: `Usage: entries-server migrate [status] [--data-dir DIR]

Brings the database's schema up to date and ends; "serve" does the same before it listens. A database of the
reference server is adopted in place. With "status" nothing is changed: the migrations are listed.

  --data-dir DIR    the embedded database is here (default ./entries-data)
`,
  config: `Usage: entries-server config check|print|sample [--port N] [--data-dir DIR]

  check     names every problem and doubt of the configuration; exit status 0 when the server can start, else 2
  print     shows every setting in force and where it comes from; secrets are not shown
  sample    prints a sample.env with every setting, its meaning and its default
`,
  proto: `Usage: entries-server proto

Prints the protobuf definitions (proto2) of every message, to generate a client from.
`,
};

/**
 * @param topic a command or the first word of one; empty for the overview
 * @returns lines that fit 120 columns
 */
export function helpText(topic: string): string {
  const [word = ""] = topic.split(" ");
  return TOPICS[word] ?? OVERVIEW;
}
