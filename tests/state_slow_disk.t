#!/usr/bin/perl

# state= of tollgate_zone on a slow disk: no request waits for it, not even while nginx is reloaded. And
# what is put in the place of the file before is safe by then: the file first, then the folder.
#
# A library that is loaded before all others has fsync(2) and its like take as long as the file
# "hold" names them ("folder 123": that of a folder, in process 123), and notes when each began and ended, and
# when rename(2) was called.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file/;
use Tollgate::Client;
use Tollgate::Engine;

use File::Temp qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

# What the harness runs as nginx is a script, which loads the library.
my $tools;

BEGIN {
	$tools = File::Temp::tempdir('tollgate-slow-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
	chmod 0755, $tools or die "Can't chmod $tools: $!\n";
	my $nginx = $Test::Nginx::NGINX;
	open my $script, '>', "$tools/nginx" or die "Can't create $tools/nginx: $!\n";
	print $script "#!/bin/sh\n[ -e $tools/slow.so ] && export LD_PRELOAD=$tools/slow.so\nexec $nginx \"\$@\"\n";
	close $script or die "Can't write $tools/nginx: $!\n";
	chmod 0755, "$tools/nginx" or die "Can't chmod $tools/nginx: $!\n";
	$Test::Nginx::NGINX = $ENV{TEST_NGINX_BINARY} = "$tools/nginx";
}

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('gcc')->plan(13);
my $d = $t->testdir();

my $source = join '', <DATA>;
$source =~ s/"(NOTES|HOLD)"/'"' . "$d\/" . lc($1) . '"'/ge;
$t->write_file('slow.c', $source);
system('gcc', '-shared', '-fPIC', '-O1', '-o', "$tools/slow.so", "$d/slow.c", '-ldl') == 0
	or die "gcc fails\n";
$t->write_file('notes', '');
$t->write_file('say', '');
chmod 0666, "$d/notes" or die "Can't chmod: $!\n";

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m state=%%TESTDIR%%/state/file;
    tollgate_tier free { tokens 100/d burst=10k; }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        proxy_buffering off;
        add_header X-Worker $pid always;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /told/ {
            proxy_pass http://127.0.0.1:8082/;
            proxy_read_timeout 3m;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file({ key => 'key-acme', client => 'acme', tier => 'free' }));
mkdir "$d/state" or die "Can't make a folder: $!\n";
chmod 0777, "$d/state" or die "Can't chmod: $!\n";

start_engine($t, 8081);
$t->run_daemon(\&engine, port(8082), "$d/say");
$t->waitforsocket('127.0.0.1:' . port(8082));
$t->run();

###############################################################################

# The order of things.

complete(client => 'acme', max => 1);
ok((poll { notes() =~ /end folder/ }), 'the state is written');
my ($first) = steps() =~ /^(.*?end folder)/s;
is($first, "begin file\nend file\nrename\nbegin folder\nend folder",
	'what it holds is safe before it has its name, and then the name is');

# A stream goes on, whatever is written.

my $stream = connection();
$stream->send(completion(client => 'acme', uri => '/told/v1/completions', stream => 1, max => 5));
my $head = $stream->peek(sub { $_[0] =~ /chunk 0\b/ });
ok($head, 'a stream');
my ($old) = ($head // '') =~ /X-Worker: (\d+)/;
my $chunks = 0;

hold_disk("file $old");
is(flows(3), 1, 'it goes on while the state is written');
release("file $old");

# A write is under way when nginx is reloaded, and more is to be written, which the old worker does when it
# notices that it is one.
hold_disk("folder $old");
complete(client => 'acme', max => 1);
my $before = seen("begin file $old");
$t->reload();
ok((poll { worker_of() != $old }), 'reload: there is a new worker');
# Longer than an old worker would leave it to others to write.
is(flows(25), 1, 'reload: it goes on while the old worker writes');
release("folder $old");
ok((poll { seen("begin file $old") > $before }), 'reload: the old worker writes a last time');
my $new = worker_of();
hold_disk("file $new");
is(flows(3), 1, 'reload: it goes on while the new one writes');
release("file $new");

say_chunk('end');
ok($stream->peek(sub { $_[0] =~ /\[DONE\]/ }), 'it ends');
$stream->close();

# What was used is there after a restart.

my $left = header(complete(client => 'acme', max => 1), 'x-ratelimit-remaining-tokens');
$t->stop();
like(steps(), qr/begin file\nend file\nrename\nbegin folder\nend folder\n$/, 'written at the end, wholly');
$t->run();
cmp_ok(header(complete(client => 'acme', max => 1), 'x-ratelimit-remaining-tokens'), '<', $left,
	'and what was used is known');
$t->stop();
ok(!-e "$d/nginx.pid", 'nginx ends');
ok(!-e "$d/state/file.new", 'and nothing is left behind');

###############################################################################

sub notes {
	open my $file, '<', "$d/notes" or die "Can't open notes: $!\n";
	local $/;
	return scalar(<$file>) // '';
}

# The same without the processes.
sub steps {
	return notes() =~ s/ \d+$//mgr;
}

sub seen {
	my ($step) = @_;
	my $count = () = notes() =~ /^\Q$step\E$/mg;
	return $count;
}

# Has the disk take its time with that, and waits until somebody waits for it.
sub hold_disk {
	my ($what) = @_;
	my $before = seen("held $what");
	open my $file, '>', "$d/hold.new" or die "Can't open hold.new: $!\n";
	print $file $what;
	close $file or die "Can't write hold.new: $!\n";
	rename "$d/hold.new", "$d/hold" or die "Can't rename hold.new: $!\n";
	poll {
		complete(client => 'acme', max => 1);
		seen("held $what") > $before;
	} or die "Nobody writes\n";
}

sub release {
	my ($what) = @_;
	my $before = seen("end $what");
	unlink "$d/hold" or die "Can't remove hold: $!\n";
	poll { seen("end $what") > $before } or die "It never ends\n";
}

# Whether so many chunks come through, each sent some time after the one before has come, while the disk
# takes its time.
sub flows {
	my ($count) = @_;
	for (1 .. $count) {
		my $number = ++$chunks;
		say_chunk($number);
		$stream->peek(sub { $_[0] =~ /chunk $number\b/ }) or return "chunk $number is lost";
		select undef, undef, undef, 0.1;
	}
	return 1;
}

sub worker_of {
	return header(complete(client => 'acme', max => 1), 'X-Worker') // 0;
}

sub say_chunk {
	my ($what) = @_;
	open my $file, '>>', "$d/say" or die "Can't open say: $!\n";
	print $file "$what\n";
	close $file or die "Can't write say: $!\n";
}

# An engine that sends a chunk when it is told to.
sub engine {
	my ($port, $path) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 5, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	while (my $client = $server->accept()) {
		$client->autoflush(1);
		my $length = 0;
		while (<$client>) {
			$length = $1 if /^Content-Length: (\d+)/i;
			last if /^\x0d?\x0a?$/;
		}
		if ($length) {
			read($client, my $body, $length);
			print $client "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
			chunk($client, 'chunk 0');
			my ($said, $ends) = (0, 0);
			until ($ends) {
				open my $file, '<', $path or die "Can't open say: $!\n";
				my @lines = <$file>;
				close $file;
				for my $line (@lines[$said .. $#lines]) {
					chomp $line;
					$line eq 'end' ? $ends = 1 : chunk($client, "chunk $line");
				}
				$said = @lines;
				select undef, undef, undef, 0.01;
			}
			print $client "data: [DONE]\n\n";
		}
		close $client;
	}
}

sub chunk {
	my ($client, $text) = @_;
	print $client qq(data: {"choices":[{"index":0,"text":"$text"}]}\n\n);
}

###############################################################################
__DATA__
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void note(const char *step)
{
	char line[64];
	int length = snprintf(line, sizeof line, "%s %d\n", step, (int) getpid());
	int file = open("NOTES", O_WRONLY | O_APPEND);
	if (file >= 0) {
		if (write(file, line, length) < 0) {
			_exit(1);
		}
		close(file);
	}
}

/* Whether the file "hold" names the step. */
static int is_held(const char *what)
{
	char wanted[64], found[64];
	snprintf(wanted, sizeof wanted, "%s %d", what, (int) getpid());
	int file = open("HOLD", O_RDONLY);
	if (file < 0) {
		return 0;
	}
	ssize_t length = read(file, found, sizeof found - 1);
	close(file);
	found[length > 0 ? length : 0] = '\0';
	return strcmp(wanted, found) == 0;
}

static int slow(int file, const char *name)
{
	struct stat found;
	struct timespec pause = { 0, 10000000 };
	int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
	int folder = fstat(file, &found) == 0 && S_ISDIR(found.st_mode);
	const char *what = folder ? "folder" : "file";
	note(folder ? "begin folder" : "begin file");
	if (is_held(what)) {
		note(folder ? "held folder" : "held file");
		/* A minute, if the test is gone. */
		for (int n = 0; n < 6000 && is_held(what); n++) {
			nanosleep(&pause, NULL);
		}
	}
	int outcome = real(file);
	note(folder ? "end folder" : "end file");
	return outcome;
}

int fsync(int file)
{
	return slow(file, "fsync");
}

int fdatasync(int file)
{
	return slow(file, "fdatasync");
}

int rename(const char *from, const char *to)
{
	int (*real)(const char *, const char *) =
		(int (*)(const char *, const char *)) dlsym(RTLD_NEXT, "rename");
	size_t length = strlen(to);
	if (length > 11 && strcmp(to + length - 11, "/state/file") == 0) {
		note("rename");
	}
	return real(from, to);
}
