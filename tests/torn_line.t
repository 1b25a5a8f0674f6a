#!/usr/bin/perl

# A full disk takes a part of a line. Until its worker has written the rest, others don't write behind it; when
# that worker is dead, they do.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file/;
use Tollgate::Client;

use JSON::PP qw/decode_json/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# nginx logs an alert for a worker that was killed.
my $t = Test::Nginx->new()->has(qw/http rewrite/)->has_daemon('prlimit')->todo_alerts()->plan(12);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier       open { requests 1000000r/d; }
    tollgate_api_keys   %%TESTDIR%%/keys.json;
    keepalive_requests  100000;

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;

        location /torn {
            tollgate_audit_log  %%TESTDIR%%/torn.log;
            try_files           /none /page;
        }

        location /dead {
            tollgate_audit_log  %%TESTDIR%%/dead.log;
            try_files           /none /page;
        }

        location = /page {
            internal;
            tollgate off;
            return 200 PAGE;
        }

        location = /pid {
            tollgate off;
            return 200 $pid;
        }
    }
}

EOC

# The limit on the size of files, which here is for one worker alone; and room for no whole line before it.
use constant { LIMIT => 1 << 30, ROOM => 90 };

my $dir = $t->testdir();
$t->write_file('keys.json', keys_file({ key => 'key', client => 'acme', tier => 'open' }));
for my $name (qw/torn dead/) {
	$t->write_file("$name.log", '');
	truncate "$dir/$name.log", LIMIT - ROOM or die "Can't truncate: $!\n";
}
$t->run();

###############################################################################

my $connections = connections_to_workers(2, 1);
my ($first, $second) = keys %$connections;
my ($full, $free) = map { $connections->{$_}[0] } $first, $second;

limit($first, LIMIT);
is(ask($full, '/torn/full'), 'PAGE', 'torn: served');
ok(poll { -s "$dir/torn.log" == LIMIT }, 'torn: a part of its line is written');
# With the answer of the last one, its worker has been through its event loop.
is(join(' ', map { ask($free, "/torn/free/$_") } 1 .. 5), join(' ', ('PAGE') x 5), 'torn: others are served');
ask($free, '/pid');
is(-s "$dir/torn.log", LIMIT, 'torn: and wait with their lines');

limit($first, 'unlimited');
ok(poll { lines($t, 'torn') == 6 }, 'torn: all lines are there');
is(join(' ', map { path($_) } lines($t, 'torn')), join(' ', '/torn/full', map { "/torn/free/$_" } 1 .. 5),
	'torn: whole, and in order');
is(ask($free, '/torn/free/6'), 'PAGE', 'torn: and on');
ok(poll { lines($t, 'torn') == 7 }, 'torn: at once again');

# What a dead worker has left in part, holds up nobody.

limit($first, LIMIT);
ask($full, '/dead/full');
ok(poll { -s "$dir/dead.log" == LIMIT }, 'dead: a part of a line is written');
ask($free, "/dead/free/$_") for 1 .. 3;
is(-s "$dir/dead.log", LIMIT, 'dead: others wait');
kill 'KILL', $first;
ok(poll { lines($t, 'dead') == 3 }, 'dead: others go on');
is(join(' ', map { path($_) } (lines($t, 'dead'))[1, 2]), '/dead/free/2 /dead/free/3',
	'dead: and lose no more than the line behind it');

###############################################################################

# The body of the answer.
sub ask {
	my ($connection, $path) = @_;
	return http_content($connection->ask(request($path, 'X-API-Key: key')) // '');
}

# Sets the limit on the size of files, in bytes, of a process.
sub limit {
	my ($pid, $bytes) = @_;
	system('prlimit', '--pid', $pid, "--fsize=$bytes:") == 0 or die "Can't set a limit\n";
}

# The lines of a log behind its hole.
sub lines {
	my ($t, $name) = @_;
	open my $file, '<:raw', $t->testdir() . "/$name.log" or die "Can't open $name.log: $!\n";
	seek $file, LIMIT - ROOM, 0;
	return map { chomp; $_ } grep { /\n\z/ } <$file>;
}

sub path {
	my ($line) = @_;
	return decode_json($line)->{path};
}

###############################################################################
