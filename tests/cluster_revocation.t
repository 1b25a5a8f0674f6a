#!/usr/bin/perl

# A key that is revoked in all nodes of a cluster is refused within a second, whatever the node's own file says: in all
# workers, over a reload, and over a restart without the store. The file has the last word again when it has heard.

use warnings;
use strict;

use Test::More;
use Time::HiRes qw/ time /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;

select STDERR; $| = 1;
select STDOUT; $| = 1;

plan(skip_all => 'without the command: export TOLLGATE_CLI') unless $ENV{TOLLGATE_CLI};

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('redis-server')->plan(18);

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m state=%%TESTDIR%%/state;
    tollgate_cluster unix:%%TESTDIR%%/store.sock password_file=%%TESTDIR%%/password name=test node=one
                     exchange=20ms on_loss=local;

    tollgate_endpoints +*:/*;

    tollgate_tier t {
        scope    node;
        requests 1000r/m;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            tollgate on;
            tollgate_api_keys %%TESTDIR%%/keys.json;
            tollgate_default_tier t;
            tollgate_audit_log %%TESTDIR%%/audit.log;
        }
    }
}

EOF

my $dir = $t->testdir();
$t->write_file('index.html', 'ok');
$t->write_file('password', "correct horse\n");
my $store = "unix:$dir/store.sock password_file=$dir/password name=test";
start_store($t);

my %key = map { $_ => create($t, $_) } qw/one two three four/;

put($t, $t->read_file('operator.json'));
$t->run();

is(get($key{$_}), 200, "key $_") for qw/one two/;

# An operator revokes it on another machine, whose file isn't here yet: the list alone says so. It answers requests before
# its first words to the store: the command can only name who has spoken.

status($t);
my $said = cli($t, 'revoke', 'one');
like($said, qr/of which all 1 nodes have heard/, 'the node has heard');

is(refused($key{one}), 401, 'refused, though the file says that it is good');
is(get($key{two}), 200, 'another one is not');
is(join(' ', map { get($key{one}) } 1 .. 8), join(' ', (401) x 8), 'in all workers');

$t->reload();
is(refused($key{one}), 401, 'over a reload');

# Without the store, over a restart.

cmp_ok(until_file("$dir/state.revocations"), '>', 100, 'it is written down');
$t->stop();
stop_store($t);
$t->run();
is(get($key{one}), 401, 'over a restart without the store');
is(get($key{two}), 200, 'another one is still not');

# The store has lost all that it knew, and hears it from the node.

start_store($t);
like(status($t), qr/one +alive/, 'the node is back');
cli($t, 'disable', 'two');
is(refused($key{two}), 401, 'a new word is heard by a node that knew more than the store');
is(get($key{one}), 401, 'and the old one still counts');
cli($t, 'enable', 'two');
is(accepted($key{two}), 200, 'it is lifted');

# The file comes, and says that it is disabled; when it says later that it is good again, that counts.

my $copy = $t->read_file('keys.json');
cli($t, 'disable', 'three');
is(refused($key{three}), 401, 'disabled by the list');
put($t, $t->read_file('operator.json'));
like(waited($t, qr/are so by the files of this node now/), qr/are so by the files/, 'the file has it as well');
put($t, $copy);
is(accepted($key{three}), 200, 'the file has the last word again');

like($t->read_file('audit.log'), qr/"reason":"revoked_credential"[^\n]*"key_id":"one"/, 'logged as revoked');

$t->stop();
stop_store($t);

###############################################################################

# Waits until it is so, ten seconds at most; the last answer.

sub eventually {
	my ($get, $wanted) = @_;
	my $end = time() + 10;
	my $found;
	do {
		$found = $get->();
		return $found if $found =~ $wanted;
		select undef, undef, undef, 0.05;
	} while (time() < $end);
	return $found;
}

sub get {
	my ($key) = @_;
	my $r = http(<<EOF) || '';
GET / HTTP/1.1
Host: localhost
Connection: close
Authorization: Bearer $key

EOF
	return $r =~ m!^HTTP/1.1 (\d+)! ? $1 : '';
}

sub refused { my ($key) = @_; return eventually(sub { get($key) }, qr/^401/) }
sub accepted { my ($key) = @_; return eventually(sub { get($key) }, qr/^200/) }

sub until_file {
	my ($path) = @_;
	return eventually(sub { -s $path || 0 }, qr/^\d{3}/);
}

sub waited {
	my ($t, $text) = @_;
	return eventually(sub { $t->read_file('error.log') }, $text);
}

sub command {
	my (@words) = @_;
	my $words = join ' ', map { "'$_'" } @words;
	return scalar `$ENV{TOLLGATE_CLI} $words 2>&1`;
}

sub create {
	my ($t, $id) = @_;
	my $file = $t->testdir() . '/operator.json';
	my $key = command('key', 'create', '--file', $file, '--client', "c-$id", '--id', $id, '--quiet');
	chomp $key;
	return $key;
}

sub cli {
	my ($t, $what, $id) = @_;
	my $dir = $t->testdir();
	my $store = "unix:$dir/store.sock password_file=$dir/password name=test";
	return command('key', $what, $id, '--file', "$dir/operator.json", '--cluster', '--store', $store);
}

sub status {
	my ($t) = @_;
	my $dir = $t->testdir();
	my $store = "unix:$dir/store.sock password_file=$dir/password name=test";
	return eventually(sub { command('status', '--cluster', '--store', $store) }, qr/alive/);
}

# Whatever spreads files, puts one here.

sub put {
	my ($t, $text) = @_;
	my $dir = $t->testdir();
	$t->write_file('keys.new', $text);
	chmod 0644, "$dir/keys.new";
	rename "$dir/keys.new", "$dir/keys.json" or die "rename: $!";
}

sub start_store {
	my ($t) = @_;
	my $dir = $t->testdir();
	$t->run_daemon('redis-server', '--port', '0', '--unixsocket', "$dir/store.sock", '--unixsocketperm', '777',
		'--requirepass', 'correct horse', '--save', '', '--appendonly', 'no', '--dir', $dir, '--pidfile', "$dir/store.pid",
		'--daemonize', 'no', '--logfile', "$dir/store.log");
	eventually(sub { -S "$dir/store.sock" && -s "$dir/store.pid" ? 'up' : '' }, qr/up/);
}

sub stop_store {
	my ($t) = @_;
	my $dir = $t->testdir();
	$t->stop_daemons();
	unlink "$dir/store.pid", "$dir/store.sock";
}

###############################################################################
