#!/usr/bin/perl

# Files of keys: nginx -t warns where others than the operator could change one, or read a secret, and says
# how that is mended. Workers are another user than who starts nginx here.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file/;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

plan(skip_all => 'must be root') if $> != 0;
my ($nobody, $nogroup) = (scalar getpwnam('nobody'), scalar getgrnam('nogroup'));
plan(skip_all => 'no user nobody') unless defined $nobody && defined $nogroup;

my $t = Test::Nginx->new()->has(qw/http/);
my $dir = $t->testdir();
chmod 0755, $dir or die "Can't chmod $dir: $!\n";

# The workers.
$ENV{TEST_NGINX_GLOBALS} = ($ENV{TEST_NGINX_GLOBALS} // '') =~ s/\buser\s[^;]*;//gr . ' user nobody nogroup;';

my $keys = keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' });
my $pem = <<'EOF';
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAES3uA/9JGo8x71lY5UcF689zbvi1j
FZnUi+7SZnfA+eefXl1xNEis1CAQzlSsf6GCZFJ3r+OlEKmKwnA6JmaOeQ==
-----END PUBLIC KEY-----
EOF
my $jwk = json({ keys => [{ kty => 'oct', kid => 'a', alg => 'HS256',
	k => 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i' }] });

# Each in a folder of its own: name, content, mode, owner, group, mode and owner of the folder.
my $number = 0;
sub file {
	my ($content, $mode, %of) = @_;
	my $folder = 'folder-' . ++$number;
	mkdir "$dir/$folder" or die "Can't make $folder: $!\n";
	open my $file, '>', "$dir/$folder/file" or die "Can't make $folder/file: $!\n";
	print $file $content;
	close $file;
	chown $of{user} // 0, $of{group} // 0, "$dir/$folder/file" or die "Can't chown: $!\n";
	chmod $mode, "$dir/$folder/file" or die "Can't chmod: $!\n";
	chown $of{owner} // 0, $of{owners} // 0, "$dir/$folder" or die "Can't chown: $!\n";
	chmod $of{folder} // 0755, "$dir/$folder" or die "Can't chmod: $!\n";
	return "$folder/file";
}

sub api_keys {
	my ($path) = @_;
	return (location => "tollgate on;\ntollgate_api_keys $path; # !");
}

# Terms that a guard looks for.
sub terms {
	my ($path) = @_;
	return (http => "$usual{http}\ntollgate_guard fence {\ninput list $path name=terms block; # !\n}",
		location => "tollgate on;\ntollgate_guards fence;\ntollgate_api_keys " . file($keys, 0644) . ";");
}

sub tokens {
	my (@paths) = @_;
	return (location => "tollgate on;\ntollgate_auth jwt;\ntollgate_default_tier free;\n"
		. "tollgate_jwt_algorithms HS256 ES256;\n"
		. join "\n", map { "tollgate_jwt_key_file $_;" . ($_ eq $paths[0] ? ' # !' : '') } @paths);
}

symlink "$dir/" . file($keys, 0666), "$dir/link-to-all" or die "Can't link: $!\n";
symlink "$dir/" . file($keys, 0644), "$dir/link" or die "Can't link: $!\n";

# A link that all can replace, though not the file behind it.
mkdir "$dir/open" or die "Can't make a folder: $!\n";
chmod 0777, "$dir/open" or die "Can't chmod: $!\n";
symlink "$dir/" . file($keys, 0644), "$dir/open/link" or die "Can't link: $!\n";

# As Kubernetes mounts a Secret: links to a folder that is replaced as a whole.
mkdir "$dir/mounted" or die "Can't make a folder: $!\n";
mkdir "$dir/mounted/..1" or die "Can't make a folder: $!\n";
chmod 01777, "$dir/mounted" or die "Can't chmod: $!\n";
$t->write_file('mounted/..1/keys.json', $keys);
chmod 0644, "$dir/mounted/..1/keys.json" or die "Can't chmod: $!\n";
symlink '..1', "$dir/mounted/..data" or die "Can't link: $!\n";
symlink '..data/keys.json', "$dir/mounted/keys.json" or die "Can't link: $!\n";

# A folder of the workers, and one of root's in it.
mkdir "$dir/www" or die "Can't make a folder: $!\n";
mkdir "$dir/www/keys" or die "Can't make a folder: $!\n";
chmod 0755, "$dir/www", "$dir/www/keys" or die "Can't chmod: $!\n";
chown $nobody, $nogroup, "$dir/www" or die "Can't chown: $!\n";
$t->write_file('www/keys/file', $keys);
chmod 0644, "$dir/www/keys/file" or die "Can't chmod: $!\n";

my ($api, $jwt) = map { "\"$_\"" } qw/tollgate_api_keys tollgate_jwt_key_file/;
my @warned = (
	['keys that all can write', [$api, 'every user of this machine', '"chmod o-w"'],
		api_keys(file($keys, 0666))],
	['keys behind a link that all can write', [$api, 'every user of this machine', '"chmod o-w"'],
		api_keys('link-to-all')],
	['keys that a group can write', [$api, "the group $nogroup", '"chmod g-w"'],
		api_keys(file($keys, 0664, group => $nogroup))],
	['keys of the workers', [$api, 'belongs to the user of the workers', '"chown root"'],
		api_keys(file($keys, 0600, user => $nobody))],
	['keys that all can replace', [$api, 'can be replaced by every user', $dir, '"chmod o-w"'],
		api_keys(file($keys, 0644, folder => 0777))],
	['keys that the workers can replace', [$api, 'can be replaced by the user of the workers', '"chown root"'],
		api_keys(file($keys, 0644, owner => $nobody))],
	['keys that a group can replace', [$api, "can be replaced by everybody in the group $nogroup", '"chmod g-w"'],
		api_keys(file($keys, 0644, folder => 02770, owners => $nogroup))],
	['keys in a folder that the workers can rename', [$api, 'the user of the workers', "$dir/www"],
		api_keys('www/keys/file')],
	['keys behind a link that all can replace', [$api, 'can be replaced by every user', "$dir/open"],
		api_keys('open/link')],
	['keys that the workers can\'t read', [$api, 'may not be able to read', 'only after a reload'],
		api_keys(file($keys, 0600))],
	['keys that the workers can\'t get at', [$api, 'may not be able to read', 'enter its folder'],
		api_keys(file($keys, 0644, folder => 0700))],
	['terms of a guard that all can write', ['"list"', 'who could so switch guards off', '"chmod o-w"'],
		terms(file("alpha\n", 0666))],
	['terms of a guard that belong to the workers', ['"list"', 'could switch guards off', '"chown root"'],
		terms(file("alpha\n", 0600, user => $nobody))],
	['public keys that all can write', [$jwt, 'every user of this machine', '"chmod o-w"'],
		tokens(file($pem, 0666))],
	['a secret that all can read', [$jwt, 'holds a secret', 'make tokens', '"chmod o-r"'],
		tokens(file('s' x 32, 0644))],
	['a key set with a secret that all can read', [$jwt, 'holds a secret', '"chmod o-r"'],
		tokens(file($jwk, 0644))],
	['a secret that all can read, beside a public key', [$jwt, 'holds a secret'],
		tokens(file('s' x 32, 0644), file($pem, 0644))],
);

my @accepted = (
	['keys of root', api_keys(file($keys, 0644))],
	['keys for the workers to read', api_keys(file($keys, 0640, group => $nogroup))],
	['keys that the group of root can write', api_keys(file($keys, 0664))],
	['keys of an operator', api_keys(file($keys, 0664, user => 4711, group => 4711))],
	['keys in a folder like /tmp', api_keys(file($keys, 0644, folder => 01777))],
	['keys behind a link, which all links are open', api_keys('link')],
	['keys of Kubernetes', api_keys('mounted/keys.json')],
	['keys in a folder that a group can read', api_keys(file($keys, 0640, group => $nogroup, folder => 02750,
		owners => $nogroup))],
	['terms of a guard for all to read', terms(file("alpha\n", 0644))],
	['public keys that all can read', tokens(file($pem, 0644))],
	['a secret for the workers to read', tokens(file('s' x 32, 0640, group => $nogroup))],
	['a secret in a folder for the workers', tokens(file('s' x 32, 0644, folder => 0750, owners => $nogroup))],
	['a public key that all can read, beside a secret', tokens(file($pem, 0644),
		file('s' x 32, 0640, group => $nogroup))],
	['keys that all can write, where nothing is on', location => "tollgate off;\ntollgate_api_keys "
		. file($keys, 0666) . ';', server => "location /on {\ntollgate on;\ntollgate_api_keys "
		. file($keys, 0644) . ";\n}"],
);

# Workers are in all groups of their user.
my ($user, $group) = member();

$t->plan(@warned + 2 * @accepted + 4);

###############################################################################

check_warned($t, $_) for @warned;
check_accepted($t, $_) for @accepted;

# Where nginx runs as one user, its workers are who starts it, and own what he owns.
workers_of($t, 'root');
my ($status, $output) = nginx_t($t, api_keys(file($keys, 0600)));
unlike($output, qr/\[warn\].*tollgate_api_keys/, 'workers of root');

SKIP: {
	skip 'no user is in a second group', 3 unless defined $user;
	workers_of($t, $user);
	check_accepted($t, ['keys for another group of the workers', api_keys(file($keys, 0640, group => $group))]);
	# As "usermod -aG deploy www-data" makes it: the owner's own group is that of the workers, too.
	check_warned($t, ['keys that another group of the workers can write', [$api, "the group $group", '"chmod g-w"'],
		api_keys(file($keys, 0660, user => $group, group => $group))]);
}

###############################################################################

# A user who is in another group than his own, and that group.
sub member {
	my %primary;
	while (my @user = getpwent) { $primary{$user[0]} = $user[3] }
	while (my @found = getgrent) {
		my ($member) = grep { $_ ne 'root' && exists $primary{$_} && $primary{$_} != $found[2] }
			split / /, $found[3];
		return ($member, $found[2]) if defined $member;
	}
	return;
}

# The harness keeps what it has put together.
sub workers_of {
	my ($t, $name) = @_;
	$ENV{TEST_NGINX_GLOBALS} =~ s/\buser\s[^;]*;/user $name;/;
	delete @$t{qw/globals _test_globals/};
}
