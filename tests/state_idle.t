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
my $first = settled($t);
ok(stays($t, $first), 'nothing happens: it is not written again');

is(status(complete(client => 'acme', max => 1)), 200, 'a request');
ok((poll { identity() ne $first }), 'a request: it is written');
ok(stays($t, settled($t)), 'a request: and then not again');

# Whoever takes it away has it written again.

unlink $path or die "Can't remove $path: $!\n";
ok((poll { -e $path }), 'taken away: it is written');
ok(stays($t, settled($t)), 'taken away: and then not again');
reload_and_wait($t);
ok(stays($t, settled($t)), 'after a reload it is left alone, too');

###############################################################################

# Each time that it is written, it is another file.
sub identity {
	my @stat = Time::HiRes::stat($path);
	return @stat ? "$stat[1] $stat[9]" : '';
}

# What it is when all that was under way is written.
sub settled {
	my ($t) = @_;
	my $seen = '';
	poll {
		my $last = $seen;
		$seen = identity();
		$last eq $seen && looks_on($t, 1) && identity() eq $seen;
	};
	return $seen;
}

# Whether it stays so for as long as its writer has nothing to do a few times.
sub stays {
	my ($t, $seen) = @_;
	return $seen ne '' && looks_on($t, 2) && identity() eq $seen;
}

# Waits until the thread that writes has waited so many times more for something to do.
sub looks_on {
	my ($t, $count) = @_;
	my $writer;
	poll { $writer = writer($t) } or return 0;
	my $before = looks($writer);
	return poll { looks($writer) >= $before + $count || !-e $writer };
}

sub writer {
	my ($t) = @_;
	for my $comm (map { glob "/proc/$_/task/*/comm" } workers($t)) {
		open my $file, '<', $comm or next;
		return $comm =~ s!/comm$!!r if (<$file> // '') =~ /^tollgate-state$/;
	}
	return '';
}

sub looks {
	my ($writer) = @_;
	open my $file, '<', "$writer/status" or return 0;
	return join('', <$file>) =~ /^voluntary_ctxt_switches:\s*(\d+)/m ? $1 : 0;
}

###############################################################################
