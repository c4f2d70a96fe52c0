# aws-runas keeps the AWS credentials of this shell fresh. Windows PowerShell 5.1 and PowerShell 7.
$global:__AwsRunas = @{
    Exe = @EXE@
    Told = 0
    Try = [long]0
    Hinted = $false
    History = [long]0
    File = ''
    Text = ''
}

# Switches this shell; what is no switch is run as typed.
function global:@FUNCTION@ {
    Set-StrictMode -Off
    $PSNativeCommandUseErrorActionPreference = $false
    $out = & $global:__AwsRunas.Exe __switch powershell @FUNCTION@ @args
    if ($LASTEXITCODE -eq 0) {
        Invoke-Expression (@($out) -join "`n")
        $global:__AwsRunas.Told = 0
        $global:__AwsRunas.Try = [long]0
    } elseif ($LASTEXITCODE -eq @NOSWITCH@) {
        & $global:__AwsRunas.Exe @args
    }
}

function global:__AwsRunasNow { [DateTimeOffset]::UtcNow.ToUnixTimeSeconds() }

# The program's answer, evaluated; its exit code.
function global:__AwsRunasAsk {
    $PSNativeCommandUseErrorActionPreference = $false
    $code = 127
    try {
        $out = & $global:__AwsRunas.Exe @args
        $code = $LASTEXITCODE
        if ($code -eq 0 -and $out) { Invoke-Expression (@($out) -join "`n") }
    } catch {
        $code = 127
    }
    $code
}

function global:__AwsRunasSay([string]$line) { [Console]::Error.WriteLine($line) }

function global:__AwsRunasTick {
    Set-StrictMode -Off
    $state = $global:__AwsRunas
    if ($env:AWSRUNAS_KEY_ID -and $env:AWS_ACCESS_KEY_ID -cne $env:AWSRUNAS_KEY_ID) {
        __AwsRunasForget # another tool has taken over
    }
    if ($env:AWSRUNAS_AUTO -eq '1' -or $env:AWSRUNAS_BEFORE) { __AwsRunasFolder }
    if ($env:AWSRUNAS_KEY_ID -and $env:AWSRUNAS_EXPIRES_AT) {
        $expires = [long]0
        $due = [long]0
        if (-not [long]::TryParse($env:AWSRUNAS_EXPIRES_AT, [ref]$expires)) {
            __AwsRunasRemove
        } else {
            if (-not [long]::TryParse($env:AWSRUNAS_REFRESH_AT, [ref]$due)) { $due = $expires }
            if ((__AwsRunasNow) -ge $due) {
                $state.Text = __AwsRunasText # Ctrl-C ends the hook, too
                __AwsRunasDue $expires
            }
        }
    }
    $last = Get-History -Count 1
    if ($last) { $state.History = $last.Id }
    $state.Text = __AwsRunasText
    if ($state.Text) {
        $env:AWSRUNAS_PROMPT = $state.Text
    } else {
        Remove-Item -LiteralPath Env:AWSRUNAS_PROMPT -ErrorAction Ignore
    }
}

# Renews, and removes what has expired nevertheless. A failure is followed by
# another attempt after 30 s, and by one at the expiry.
function global:__AwsRunasDue([long]$expired) {
    $state = $global:__AwsRunas
    $name = "$env:AWSRUNAS_PROFILE"
    $now = __AwsRunasNow
    if ($now -ge $state.Try) {
        # Set before the attempt, which Ctrl-C may end.
        $state.Try = $now + 30
        if ($now -lt $expired -and $expired -lt $state.Try) { $state.Try = $expired }
        if (Test-Path -LiteralPath $state.Exe) {
            $state.Told = __AwsRunasAsk env --renew --no-input --shell powershell --function @FUNCTION@ --told $state.Told
        } else {
            if ($state.Told -ne 127) { __AwsRunasSay ('aws-runas: ' + $state.Exe + ' is not there, so nothing is renewed') }
            $state.Told = 127
        }
        $now = __AwsRunasNow
        $due = [long]0
        if ($state.Told -eq 0 -and [long]::TryParse($env:AWSRUNAS_REFRESH_AT, [ref]$due) -and $due -gt $now) { $state.Try = [long]0 }
    }
    if ("$env:AWSRUNAS_EXPIRES_AT" -eq "$expired" -and $now -ge $expired) {
        __AwsRunasRemove
        __AwsRunasSay ('aws-runas: the credentials of ' + ($name -replace '\p{Cc}', '?') + ' have expired and are removed: @FUNCTION@ - gets new ones')
    }
    if ($now -ge $expired -and -not $state.Hinted) {
        $last = Get-History -Count 1
        if ($last -and $last.Id -ne $state.History -and ([DateTimeOffset]$last.StartExecutionTime).ToUnixTimeSeconds() -lt $expired) {
            $state.Hinted = $true
            __AwsRunasSay ('hint: aws-runas ' + "'" + ($name -replace "['\u2018-\u201b]", '$0$0') + "'" + ' -- COMMAND renews while it runs')
        }
    }
}

# Takes back all that was exported. Changed since, it is the user's: only the
# program can tell; where it cannot, all goes.
function global:__AwsRunasRemove {
    $previous = "$env:AWSRUNAS_RENEW"
    $before = "$env:AWSRUNAS_BEFORE"
    if (Test-Path -LiteralPath $global:__AwsRunas.Exe) {
        $null = __AwsRunasAsk env --unset --shell powershell
    }
    if ($env:AWSRUNAS_KEY_ID) {
        foreach ($item in "$env:AWSRUNAS_EXPORTS".Split(',')) {
            $name = $item.Split(':')[0]
            if ($name -match '^AWS[A-Za-z0-9_]*$') { Remove-Item -LiteralPath "Env:$name" -ErrorAction Ignore }
        }
        __AwsRunasForget
    }
    if ($previous) { $env:AWSRUNAS_PREVIOUS = $previous }
    if ($before) { $env:AWSRUNAS_BEFORE = $before }
}

# Removes the marks alone.
function global:__AwsRunasForget {
    if ($env:AWSRUNAS_RENEW) { $env:AWSRUNAS_PREVIOUS = $env:AWSRUNAS_RENEW }
    if ($env:AWSUME_PROFILE -ceq $env:AWSRUNAS_PROFILE) {
        Remove-Item -LiteralPath Env:AWSUME_PROFILE -ErrorAction Ignore
    }
    foreach ($name in 'PROFILE', 'ACCOUNT', 'KEY_ID', 'EXPIRES_AT', 'REFRESH_AT', 'RENEW', 'EXPORTS', 'BEFORE') {
        Remove-Item -LiteralPath "Env:AWSRUNAS_$name" -ErrorAction Ignore
    }
}

# Enters the profile that the nearest .awsprofile names, or leaves the last one.
function global:__AwsRunasFolder {
    $state = $global:__AwsRunas
    $file = ''
    $name = ''
    if ($env:AWSRUNAS_AUTO -eq '1' -and $PWD.Provider.Name -eq 'FileSystem') {
        $dir = $PWD.ProviderPath
        while ($dir) {
            $candidate = [IO.Path]::Combine($dir, '.awsprofile')
            if ([IO.File]::Exists($candidate)) {
                $file = $candidate
                break
            }
            $dir = [IO.Path]::GetDirectoryName($dir)
        }
    }
    $seen = $file
    if ($file) { $seen = $file + ' ' + [IO.File]::GetLastWriteTimeUtc($file).Ticks }
    if ($seen -ceq $state.File) { return }
    $state.File = $seen
    if ($file) { $name = "$(Get-Content -LiteralPath $file -TotalCount 1 -Encoding UTF8 -ErrorAction Ignore)".Trim() }
    if ($name) {
        # it is there, or another tool's keys are
        if ($name -ceq $env:AWSRUNAS_PROFILE -or "$env:AWS_ACCESS_KEY_ID" -cne "$env:AWSRUNAS_KEY_ID") { return }
        if ((__AwsRunasAsk env "--enter=$name" --no-input --shell powershell --function @FUNCTION@) -eq 0) {
            $state.Told = 0
            $state.Try = [long]0
            return
        }
    }
    if ($env:AWSRUNAS_BEFORE) {
        if ((__AwsRunasAsk env --leave --no-input --shell powershell --function @FUNCTION@) -eq 0) {
            $state.Told = 0
            $state.Try = [long]0
        } else {
            __AwsRunasRemove
        }
        Remove-Item -LiteralPath Env:AWSRUNAS_BEFORE -ErrorAction Ignore
    }
}

# The profile and its time left; nothing without a profile.
function global:__AwsRunasText {
    if (-not $env:AWSRUNAS_PROFILE) { return '' }
    $text = $env:AWSRUNAS_PROFILE -replace '\p{Cc}', '?'
    $expires = [long]0
    if ($env:AWSRUNAS_KEY_ID -and [long]::TryParse($env:AWSRUNAS_EXPIRES_AT, [ref]$expires)) {
        $left = [TimeSpan]::FromSeconds([Math]::Max(0, $expires - (__AwsRunasNow)))
        if ($left.TotalHours -ge 1) {
            $text += ' {0}h{1:00}m' -f [Math]::Floor($left.TotalHours), $left.Minutes
        } elseif ($left.TotalMinutes -ge 1) {
            $text += ' {0}m' -f $left.Minutes
        } else {
            $text += ' {0}s' -f $left.Seconds
        }
    }
    if ($env:AWSRUNAS_DEPTH -match '^\d+$' -and [int]$env:AWSRUNAS_DEPTH -gt 1) { $text += ' (' + $env:AWSRUNAS_DEPTH + ')' }
    $text
}

# The text in brackets, standing out for a profile that AWSRUNAS_WARN matches.
function global:__AwsRunasSegment {
    $text = $global:__AwsRunas.Text
    if (-not $text -or $env:AWSRUNAS_SEGMENT -eq 'off') { return '' }
    $globs = '*prod*'
    if (Test-Path -LiteralPath Env:AWSRUNAS_WARN) { $globs = $env:AWSRUNAS_WARN }
    $warn = $false
    foreach ($glob in "$globs".Split(' ,'.ToCharArray())) {
        if ($glob -and $env:AWSRUNAS_PROFILE -clike $glob) { $warn = $true }
    }
    if ($env:NO_COLOR -or -not $Host.UI.SupportsVirtualTerminal) {
        if ($warn) { return "[! $text] " }
        return "[$text] "
    }
    $escape = [char]27
    $color = '36'
    if ($warn) { $color = '1;37;41' }
    "${escape}[${color}m[$text]${escape}[0m "
}

# Wraps the prompt, once. starship and oh-my-posh draw it themselves.
if (-not (Get-Variable -Name __AwsRunasPrompt -Scope Global -ErrorAction Ignore)) {
    $global:__AwsRunasPrompt = $Function:prompt
    $global:__AwsRunasDrawn = @('starship', 'oh-my-posh-core') -contains (Get-Command -Name prompt).ModuleName
    function global:prompt {
        $ok = $global:?
        $code = Get-Variable -Name LASTEXITCODE -Scope Global -ValueOnly -ErrorAction Ignore
        $segment = ''
        try {
            __AwsRunasTick
            if (-not $global:__AwsRunasDrawn) { $segment = __AwsRunasSegment }
        } catch {
            __AwsRunasSay ('aws-runas: ' + $_)
        }
        # What follows sees the status of the last command, as it would without us.
        $global:LASTEXITCODE = $code
        if ($ok) { $null = $code } else { Write-Error -Message '' -ErrorAction Ignore }
        $segment + ((& $global:__AwsRunasPrompt) -join "`n")
        $global:LASTEXITCODE = $code
        if ($ok) { $null = $code } else { Write-Error -Message '' -ErrorAction Ignore }
    }
}
