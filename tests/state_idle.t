#!/usr/bin/perl

# state= of tollgate_zone: what has changed is written, and while nothing changes, nothing is.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

use Time::HiRes qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(8);
my $d = $t->testdir();

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m state=%%TESTDIR%%/state/file;
    tollgate_tier free { requests 20r/d; tokens 100/d burst=10k; concurrency 1; }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file({ key => 'key-acme', client => 'acme', tier => 'free' }));
mkdir "$d/state" or die "Can't make a folder: $!\n";
chmod 0777, "$d/state" or die "Can't chmod: $!\n";
my $path = "$d/state/file";

start_engine($t, 8081);
$t->run();

###############################################################################

ok((poll { -e $path }), 'written at the start');
ok(rests($t), 'nothing happens: it is not written again');

my $first = identity();
is(status(complete(client => 'acme', max => 1)), 200, 'a request');
ok((poll { identity() ne $first }), 'a request: it is written');
ok(rests($t), 'a request: and then not again');

# Whoever takes it away has it written again.

unlink $path or die "Can't remove $path: $!\n";
ok((poll { -e $path }), 'taken away: it is written');
ok(rests($t), 'taken away: and then not again');
reload_and_wait($t);
ok(rests($t), 'after a reload it is left alone, too');

###############################################################################

# Each time that it is written, it is another file.
sub identity {
	my @stat = Time::HiRes::stat($path);
	return @stat ? "$stat[1] $stat[9]" : '';
}

# Whether it comes to be left alone, for as long as its writer waits a few times in a row. A write that is
# still due when we come begins before that: after a wait, and whatever wakes it. Waits for the disk don't
# count: those are while the new file is there, under another name, or come one right after the other.
sub rests {
	my ($t) = @_;
	my ($seen, $writer, $last, $grew, $count) = ('', '', 0, 0, 0);
	return poll {
		my $now = writer($t);
		my $waits = $now && !-e "$path.new" ? waits($now) : undef;
		my $file = identity();
		if (!defined $waits || $file eq '' || $file ne $seen || $now ne $writer) {
			($seen, $writer, $last, $grew, $count) = ($file, $now, $waits // 0, 1, 0);
			return 0;
		}
		my $grows = $waits > $last;
		$count = $grows ? $grew ? 0 : $count + 1 : $count;
		($last, $grew) = ($waits, $grows);
		return $count >= 4;
	};
}

# The thread that has the right to write, as a folder of proc; several may try to get it.
sub writer {
	my ($t) = @_;
	for my $pid (workers($t)) {
		next unless grep { (readlink // '') eq "$path.lock" && is_locked($_) } glob "/proc/$pid/fd/*";
		for my $comm (glob "/proc/$pid/task/*/comm") {
			open my $file, '<', $comm or next;
			return $comm =~ s!/comm$!!r if (<$file> // '') =~ /^tollgate-state$/;
		}
	}
	return '';
}

# Whether the process has the lock of the file that it has open as this descriptor.
sub is_locked {
	my ($descriptor) = @_;
	open my $file, '<', $descriptor =~ s!/fd/!/fdinfo/!r or return 0;
	return join('', <$file>) =~ /^lock:.*FLOCK/m ? 1 : 0;
}

# How often it has waited for something.
sub waits {
	my ($writer) = @_;
	open my $file, '<', "$writer/status" or return;
	return join('', <$file>) =~ /^voluntary_ctxt_switches:\s*(\d+)/m ? $1 : undef;
}

###############################################################################
